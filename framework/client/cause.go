// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// What goes wrong before a session is open, in the words of whoever can mend
// it: an address, a key, a port.

var (
	errNobody     = errors.New("nobody answers: no server there, or a firewall that drops UDP")
	errNobodyKey  = errors.New("nobody answers: no server there, or its key is not the one in ServerKey, or a firewall that drops UDP")
	errMute       = errors.New("it takes connections and then says nothing: no Lifeline server on that port, or one for another scheme")
	errHangsUp    = errors.New("it ends the connection at once: no Lifeline server on that port, or one for another scheme, or TLS is expected")
	errStranger   = errors.New("what answers does not speak Lifeline: another server's port, or one for another scheme")
	errNotWS      = errors.New("what answers is no HTTP server: is the port one for tcp://, or for wss://?")
	errNoUpgrade  = errors.New("it takes connections and answers no HTTP: is the port one for tcp://, or is TLS expected, as in wss://?")
	errNotTLS     = errors.New("what answers does not speak TLS: is it ws:// instead of wss://?")
	errPlain      = errors.New("the HTTP server there takes no WebSocket without TLS: is it wss:// instead of ws://?")
	errWSRefused  = errors.New("the HTTP server there opens no WebSocket for this path and host")
	errNoProtocol = errors.New("the WebSocket server there is no Lifeline server")
)

// notLifeline is what the first bytes of a stranger are found to be.
var notLifeline = []error{
	codec.ErrKind, codec.ErrFlags, codec.ErrCounted, codec.ErrSeq, codec.ErrBody, codec.ErrNoBody, codec.ErrTooLarge,
	codec.ErrLengthForm, session.ErrKind, session.ErrControl,
}

// dialCause puts the failure of a dial into plain words.
func dialCause(a address, err error) error {
	var record tls.RecordHeaderError
	var status ws.StatusError
	switch {
	case a.carrier == carrierKCP && errors.Is(err, context.DeadlineExceeded):
		err = errNobodyKey
	case a.carrier == carrierPlainKCP && errors.Is(err, context.DeadlineExceeded):
		err = errNobody
	case errors.As(err, &record):
		err = fmt.Errorf("%w: %w", errNotTLS, err)
	case a.carrier != carrierWS:
	case errors.As(err, &status) && status == http.StatusBadRequest && a.scheme() == "ws": // what Go's servers say, ours too
		err = fmt.Errorf("%w: status %d", errPlain, int(status))
	case errors.As(err, &status):
		err = fmt.Errorf("%w: status %d", errWSRefused, int(status))
	case errors.Is(err, ws.ErrHandshakeBadSubProtocol):
		err = fmt.Errorf("%w: %w", errNoProtocol, err)
	case errors.Is(err, ws.ErrMalformedResponse), errors.Is(err, ws.ErrHandshakeBadProtocol), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%w: %w", errNotWS, err)
	}
	return fmt.Errorf("client: %v: %w", a, err)
}

// linkCause does the same for a link that was dialled and opened no session. heard tells
// whether anything came.
func linkCause(a address, heard bool, err error) error {
	switch {
	case err == nil && !heard && a.carrier == carrierPlainKCP, errors.Is(err, errSilent):
		err = errNobody
	case err == nil:
		err = errMute
	case errors.Is(err, io.EOF) && !heard:
		err = errHangsUp
	case slices.ContainsFunc(notLifeline, func(no error) bool { return errors.Is(err, no) }):
		err = fmt.Errorf("%w: %w", errStranger, err)
	}
	return fmt.Errorf("client: %v: %w", a, err)
}

// joined is all of them in one line, nil of none.
func joined(causes []error) (err error) {
	for i, cause := range causes {
		if err == nil {
			err = cause
		} else if !slices.ContainsFunc(causes[:i], func(e error) bool { return e.Error() == cause.Error() }) {
			err = fmt.Errorf("%w; %w", err, cause)
		}
	}
	return err
}

// attempt is what went wrong since the client last began to dial. Guarded by Client.mu.
type attempt struct {
	causes []error             // by address
	last   error               // why the last link or dial failed, in this attempt or an earlier one
	told   bool                // the app was: by EventRefused
	state  session.ClientState // of the core, when that was looked at last
}

// failed notes why a part of it came to nothing.
func (a *attempt) failed(err error) {
	a.last = err
	a.causes = append(a.causes, err)
}

// why is all of it in one line.
func (a *attempt) why() error {
	if err := joined(a.causes); err != nil {
		return err
	}
	return a.last
}

// over takes the core's state after anything that may have changed it. It reports whether
// the attempt has failed and the app is to be told.
func (a *attempt) over(is session.ClientState) bool {
	was := a.state
	a.state = is
	switch {
	case is == session.Dialing && was != session.Dialing:
		a.causes = nil
	case is == session.Waiting && (was == session.Dialing || was == session.Opening):
		told := a.told
		a.told = false
		return !told
	}
	return false
}

// How often a client says in its log that it can't reach the server: at first,
// and when the cause is another one, but not more than every logEvery.
const logEvery = 30 * time.Second

// complaint is what was logged of attempts that failed. Owned by deliver.
type complaint struct {
	attempts int // in a row
	at       time.Duration
	cause    string
}

// told logs what the app is about to be told.
func (k *complaint) told(log *slog.Logger, now time.Duration, s Event) {
	switch s.Kind {
	case EventFailed, EventRefused:
		k.attempts++
		cause := s.Err.Error()
		if k.attempts > 1 && now-k.at < logEvery && (cause == k.cause || now-k.at < logEvery/10) {
			return
		}
		k.at, k.cause = now, cause
		log.Warn("client: can't reach the server", "error", s.Err, "attempt", k.attempts, "after", s.Delay.Round(time.Millisecond))
	case EventOpened, EventResumed, EventReset:
		if k.attempts > 0 {
			log.Info("client: reached the server", "attempt", k.attempts+1)
		}
		*k = complaint{}
	}
}
