// SPDX-License-Identifier: MIT

package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/internal/linked"
)

const (
	// recordHead is the header of a TLS record: type, version, length.
	recordHead = 5
	// maxRecord is the longest content of a record, in TLS 1.2.
	maxRecord = 16<<10 + 2048
	// shortRecord has room for a ping of WebSocket: a record that is no longer is a sign of
	// life by what is in it, when all of it has come.
	shortRecord = 256
	// maxHandshakeBytes bounds what a client says before its handshake is over. One with
	// a certificate of its own says some 6 KiB.
	maxHandshakeBytes = 64 << 10
	// maxHandshakes bounds the handshakes of a loop, at some 30 KB each.
	maxHandshakes = 512
)

var (
	errTooManyHandshakes = errors.New("transport: too many TLS handshakes at once")
	errLongHandshake     = errors.New("transport: TLS handshake of more than 64 KiB")
	errHandshakePanic    = errors.New("transport: panic in a TLS handshake")
	errLinkGone          = errors.New("transport: link closed in its TLS handshake")

	errNoRecord error = noRecord{}
)

// noRecord is what crypto/tls is told where nothing more is here. It keeps a temporary
// error for no longer than the call that met it.
type noRecord struct{}

func (noRecord) Error() string   { return "transport: no TLS record yet" }
func (noRecord) Timeout() bool   { return false }
func (noRecord) Temporary() bool { return true }

// tlsStream is TLS between a WebSocket link and its connection: what the link writes to
// and reads from. The handshake, which blocks, runs on a goroutine; after that
// crypto/tls runs on the loop and is only ever given whole records. Owned by the loop,
// except for conn during the handshake.
type tlsStream struct {
	k     *wsLink
	raw   backend.Stream
	conn  *tls.Conn
	shake *handshake // nil once it is over

	feed  []byte // whole records that conn may read
	plain []byte // that conn has read, in memory of the pool
	taken int    // of plain
	left  int    // bytes of a record that is not whole
}

// handshake is what the goroutine of a handshake and the loop have in common.
type handshake struct {
	place linked.Node[*tlsStream] // in Loop.shaking; owned by the loop
	took  int                     // bytes of the client; owned by the loop

	mu      sync.Mutex
	changed sync.Cond
	in, out []byte // from and to the client
	gone    bool   // the link has closed
	done    bool
	err     error
}

// startsTLS looks at the beginning of a connection that must be TLS. It reports whether
// the first record is whole.
func (k *wsLink) startsTLS(in backend.Inbound) bool {
	b, err := in.Peek(min(k.left, recordHead+maxRecord))
	switch {
	case err != nil:
		k.Close(err)
	case b[0] >= 'A' && b[0] <= 'Z':
		k.refused(errPlain)
		k.reject(in, reject(400, "this port speaks TLS: wss://"))
	case !begins(b, "\x16\x03"):
		k.refused(errRequest)
		k.Close(errRequest)
	default:
		return wholeRecords(b) > 0
	}
	return false
}

// startTLS begins the handshake, if the client's address may begin another. Too many at
// once cost the one that has waited longest: an honest client needs two round trips.
func (k *wsLink) startTLS(in backend.Inbound) {
	l := k.loop
	from := k.addr.Addr()
	if !l.t.admission.pay(k.carrier, from, l.now) {
		k.Close(errTooManyLinks)
		return
	}
	k.pending.paid = from
	if l.shakers >= 2*maxHandshakes { // their hooks hang
		l.stats.evictedPending.Add(1)
		k.Close(errTooManyHandshakes)
		return
	}
	if l.shaking.Len() >= maxHandshakes {
		old := l.shaking.First().Value
		old.stop()
		l.stats.evictedPending.Add(1)
		old.k.Close(errTooManyHandshakes)
	}
	t := &tlsStream{k: k, raw: k.stream, shake: &handshake{}}
	t.shake.changed.L = &t.shake.mu
	t.shake.place.Value = t
	t.conn = tls.Server((*tlsWire)(t), l.t.tls.config)
	l.shaking.Push(&t.shake.place)
	l.shakers++
	k.tls, k.stream, k.left = t, t, 0
	t.arrived(in)
	// Ends when the handshake has, or the link: stop.
	go t.handshake()
}

// handshake runs on a goroutine of its own.
func (t *tlsStream) handshake() {
	h := t.shake
	t.turn()
	err := errHandshakePanic // if a hook ends the goroutine
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errHandshakePanic, r)
		}
		t.yield()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.done, h.err = true, err
		_ = t.k.loop.Post((*tlsStep)(t)) // a loop that has stopped needs no word
	}()
	err = t.conn.Handshake()
}

// turn waits till this handshake may compute, yield lets another one. Half of the
// processors are the loops': so many logins at once keep no player waiting.
func (t *tlsStream) turn()  { t.k.loop.t.tls.turns <- struct{}{} }
func (t *tlsStream) yield() { <-t.k.loop.t.tls.turns }

// await takes what the client has said. On the goroutine of the handshake.
func (t *tlsStream) await(p []byte) (int, error) {
	h := t.shake
	h.mu.Lock()
	if len(h.in) == 0 && !h.gone {
		if len(h.out) > 0 {
			_ = t.k.loop.Post((*tlsStep)(t))
		}
		t.yield()
		for len(h.in) == 0 && !h.gone {
			h.changed.Wait()
		}
		h.mu.Unlock()
		t.turn()
		h.mu.Lock()
	}
	defer h.mu.Unlock()
	if len(h.in) == 0 {
		return 0, errLinkGone
	}
	n := copy(p, h.in)
	h.in = h.in[n:]
	return n, nil
}

// tlsStep is how far a handshake is: the loop sends what it has to say.
type tlsStep tlsStream

// Run runs on the loop.
func (s *tlsStep) Run(l *Loop) {
	t := (*tlsStream)(s)
	h := t.shake
	if h == nil {
		return // a step that the end has overtaken
	}
	h.mu.Lock()
	out, done, err := h.out, h.done, h.err
	h.out = nil
	h.mu.Unlock()
	defer l.guard(&t.k.Link)
	if done {
		l.shakers--
		l.shaking.Remove(&h.place)
		t.shake = nil
	}
	if err != nil && !errors.Is(err, errLinkGone) { // also where the client said why, and left
		l.stats.tlsRefused.Add(1)
		l.t.log.Debug("transport: no TLS", slog.String("link", t.k.addr.String()), slog.Any("error", err))
	}
	if t.k.deaf() {
		return
	}
	if _, werr := t.raw.Write(out); werr != nil {
		t.k.Close(werr)
		return
	}
	if !done {
		return
	}
	if err != nil {
		t.k.Close(err)
		return
	}
	t.decrypt(h.in)
}

// stop ends the handshake of a link that closes, if it is in one.
func (t *tlsStream) stop() {
	h := t.shake
	if h == nil {
		return
	}
	t.k.loop.shaking.Remove(&h.place)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	h.changed.Signal()
}

// recordSize returns the length of the content of a record, of which the header is here.
func recordSize(b []byte) int { return int(b[3])<<8 | int(b[4]) }

// wholeRecords returns how many bytes of b are whole records. What can't be one counts
// as far as it shows that: crypto/tls says to the client what is wrong.
func wholeRecords(b []byte) (n int) {
	for len(b)-n >= recordHead {
		size := recordSize(b[n:])
		if size > maxRecord {
			return n + recordHead
		}
		if size += recordHead; size > len(b)-n {
			break
		}
		n += size
	}
	return n
}

// data looks at what has arrived on the connection.
func (t *tlsStream) data(in backend.Inbound) {
	t.k.loop.begin()
	t.arrived(in)
	t.k.loop.end()
}

// arrived takes the records that are whole.
func (t *tlsStream) arrived(in backend.Inbound) {
	k := t.k
	defer k.loop.guard(&k.Link)
	n := in.InboundBuffered()
	whole := n
	if !k.deaf() {
		b, err := in.Peek(n)
		if err != nil {
			k.Close(err)
			return
		}
		if whole = wholeRecords(b); n-whole >= recordHead && recordSize(b[whole:]) > shortRecord {
			k.received = k.loop.now // as in the midst of a frame
		}
		b = b[:whole]
		switch {
		case t.shake != nil:
			t.hear(b)
		case whole > 0:
			t.decrypt(b)
		}
	}
	t.left = n - whole
	if whole > 0 && k.stream != backend.Stream(gone{}) {
		_, _ = in.Discard(whole)
	}
	k.loop.notePartial(&k.Link, false)
}

// hear gives the handshake what the client says.
func (t *tlsStream) hear(b []byte) {
	h := t.shake
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.took += len(b); h.took > maxHandshakeBytes {
		h.in = nil
		t.k.loop.stats.tlsRefused.Add(1)
		t.k.Close(errLongHandshake)
		return
	}
	h.in = append(h.in, b...)
	h.changed.Signal()
}

// decrypt reads whole records and hands up what they hold.
func (t *tlsStream) decrypt(records []byte) {
	k := t.k
	pool := &k.loop.bufs
	if t.taken > 0 { // room in front is room
		t.plain = append(t.plain[:0], t.plain[t.taken:]...)
		t.taken = 0
	}
	t.feed = records
	var err error
	for err == nil {
		if len(t.plain) == cap(t.plain) { // no content is longer than its records
			bigger := append(pool.get(len(t.plain)+max(len(t.feed), 1<<minBufBits)), t.plain...)
			pool.put(t.plain)
			t.plain = bigger
		}
		var n int
		n, err = t.conn.Read(t.plain[len(t.plain):cap(t.plain)])
		t.plain = t.plain[:len(t.plain)+n]
	}
	t.feed = nil
	if len(t.plain) == 0 {
		_, _ = t.Discard(0)
	}
	k.input(k, t)
	switch {
	case err == errNoRecord:
	case errors.Is(err, io.EOF): // close_notify
		k.Close(io.EOF)
	default:
		if k.state&stateClosed == 0 {
			k.loop.stats.protocol.Add(1)
		}
		k.Close(err)
	}
}

// InboundBuffered, Peek and Discard are what the link reads.
func (t *tlsStream) InboundBuffered() int { return len(t.plain) - t.taken }

func (t *tlsStream) Peek(n int) ([]byte, error) { return t.plain[t.taken:][:n], nil }

func (t *tlsStream) Discard(n int) (int, error) {
	if t.taken += n; t.taken == len(t.plain) {
		t.k.loop.bufs.put(t.plain)
		t.plain, t.taken = nil, 0
	}
	return n, nil
}

// Write, OutboundBuffered, CloseWrite, RTT and End are what the link writes to.
func (t *tlsStream) Write(p []byte) (int, error) { return t.conn.Write(p) }

func (t *tlsStream) OutboundBuffered() int { return t.raw.OutboundBuffered() }

func (t *tlsStream) CloseWrite() bool {
	_ = t.conn.CloseWrite()
	return t.raw.CloseWrite()
}

func (t *tlsStream) RTT() time.Duration { return t.raw.RTT() }

func (t *tlsStream) End() {
	if t.shake == nil {
		_ = t.conn.CloseWrite() // close_notify: nobody cut the end off
	}
	t.raw.End()
}

// tlsWire is a tlsStream as crypto/tls sees it: the connection below.
type tlsWire tlsStream

func (w *tlsWire) Read(p []byte) (int, error) {
	if w.shake != nil {
		return (*tlsStream)(w).await(p)
	}
	if len(w.feed) == 0 {
		return 0, errNoRecord
	}
	n := copy(p, w.feed)
	w.feed = w.feed[n:]
	return n, nil
}

func (w *tlsWire) Write(p []byte) (int, error) {
	if h := w.shake; h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.out = append(h.out, p...)
		return len(p), nil
	}
	// A client that has its keys changed without end, and reads nothing.
	if cfg := &w.k.loop.t.cfg; w.feed != nil && w.raw.OutboundBuffered() > cfg.sendBuffer()+cfg.maxFrame() {
		return 0, ErrOverflow
	}
	return w.raw.Write(p)
}

func (w *tlsWire) Close() error                     { return nil }
func (w *tlsWire) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (w *tlsWire) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(w.k.addr) }
func (w *tlsWire) SetDeadline(time.Time) error      { return nil }
func (w *tlsWire) SetReadDeadline(time.Time) error  { return nil }
func (w *tlsWire) SetWriteDeadline(time.Time) error { return nil }

// tlsShared is what all handshakes share. config is nil where there is no TLS.
// Immutable once the loops run.
type tlsShared struct {
	config *tls.Config
	turns  chan struct{} // as deep as there may be handshakes that compute
}

// readTLS makes the configuration of TLS, once.
func (s *shared) readTLS() error {
	if !s.cfg.speaksTLS() {
		return nil
	}
	own := &tls.Config{}
	if s.cfg.TLS != nil {
		own = s.cfg.TLS.Clone()
	}
	if s.cfg.TLSCertFile != "" {
		files, err := readCertFiles(s.cfg.TLSCertFile, s.cfg.TLSKeyFile, s.log)
		if err != nil {
			return err
		}
		own.GetCertificate = files.get
	} else if hook := own.GetCertificate; hook != nil {
		own.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return aside(hello, hook) }
	}
	if hook := own.GetConfigForClient; hook != nil {
		own.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return aside(hello, hook) }
	}
	if own.NextProtos == nil {
		own.NextProtos = []string{"http/1.1"}
	}
	own.DynamicRecordSizingDisabled = true // a batch is one record, and one write
	s.tls = tlsShared{own, make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1))}
	return nil
}

// aside calls a hook of the game's, which may ask a network for its answer, while
// another handshake computes.
func aside[T any](hello *tls.ClientHelloInfo, hook func(*tls.ClientHelloInfo) (T, error)) (T, error) {
	w := (*tlsStream)(hello.Conn.(*tlsWire))
	w.yield()
	defer w.turn()
	return hook(hello)
}
