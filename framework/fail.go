// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// Fail returns an error that reaches the player as it is: a failed request's
// answer, what a room's OnJoin said, or the end of a login, which is final. The
// code tells the client what to do without reading the text; it is the game's
// and so at least GameError, 1,000. A lower one is the framework's and
// panics. Any other error is logged in full and told as INTERNAL, or if it is
// Authenticate's as BUSY: see Later.
func Fail(code ErrorCode, text string) error {
	if code < codec.GameError {
		panic(fmt.Sprintf("framework: Fail with code %d: a game's codes start at %d", code, codec.GameError))
	}
	return refusal(code, text)
}

// refusal is Fail with a code of the framework's own.
func refusal(code codec.ErrorCode, text string) error { return &codec.Error{Code: code, Text: text} }

// Later returns an error that sends the player away for a while: maintenance, a
// queue, a service that is down. From Authenticate it is answered by BUSY: the
// client waits that long, and up to a quarter more so that not all come at once,
// and logs in again by itself. If after is zero or less, it is 5 s. From the
// handler of a request it is answered by ErrorBusy. The text reaches the
// player, at most 256 bytes of it.
func Later(after time.Duration, text string) error {
	if after <= 0 {
		after = busyRetry
	}
	return &later{after, text}
}

type later struct {
	after time.Duration
	text  string
}

func (e *later) Error() string { return fmt.Sprintf("framework: later, in %v: %s", e.after, e.text) }

// busyRetry is when a client shall come back that was told no other time.
const busyRetry = 5 * time.Second

func busy(text string) *session.CloseError { return busyFor(busyRetry, text) }

// busyFor is rounded up, so that no client comes back at once.
func busyFor(after time.Duration, text string) *session.CloseError {
	ms := (after + time.Millisecond - 1) / time.Millisecond
	return &session.CloseError{Code: session.Busy, Text: text, Detail: uint64(ms)}
}

// OverflowError says that more would wait for a player than may: all of it is given
// up, and what is sent until the client has come back to a snapshot (OnSnapshot). errors.Is(err, ErrOverflow) finds it.
type OverflowError struct {
	Packets, Bytes       int // that waited, before; none once all was given up
	MaxPackets, MaxBytes int // Session.SendPackets and SendBytes
}

func (e *OverflowError) Error() string {
	return fmt.Sprintf("framework: more than %d packets and %d bytes may not wait (%d and %d did): all is given up, pace it by PushAll",
		e.MaxPackets, e.MaxBytes, e.Packets, e.Bytes)
}

// Unwrap returns ErrOverflow.
func (e *OverflowError) Unwrap() error { return session.ErrOverflow }

// examine asks of an error of the game all that will be asked of it, where a panic is known to
// be the game's. The usual one is of a nil pointer that was returned as an error.
func examine(err error) {
	var no *codec.Error
	var end *session.CloseError
	var wait *later
	if errors.As(err, &no) {
		_ = no.Code
	}
	if errors.As(err, &end) {
		_ = end.Code
	}
	_ = errors.As(err, &wait)
	_ = errors.Is(err, context.DeadlineExceeded)
}

func badRequest(err error) error { return codec.BadRequest(err) }
