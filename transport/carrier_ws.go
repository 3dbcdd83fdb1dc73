// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gobwas/ws"
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

const (
	// maxServerHead is the longest header of a frame that is not masked. That
	// much is kept free in front of a message, whose length is known last.
	maxServerHead = 10
	// maxFragments bounds the pieces of one message. Browsers cut large
	// messages in a handful of them.
	maxFragments = 1024
	// maxControl bounds the pings, pongs and empty messages of a peer in one
	// controlWindow. Proxies and libraries ping once in some ten seconds.
	maxControl    = 64
	controlWindow = time.Second
	// minMessage is the longest message that every server takes: SPEC 7.4.
	minMessage = 64 << 10
)

// StatusError is why a WebSocket link closed whose peer said so, with another
// status than "normal" and "going away", which are io.EOF alone.
type StatusError struct{ Status uint16 }

func (e *StatusError) Error() string {
	return fmt.Sprintf("transport: peer closed with status %d", e.Status)
}

// Unwrap returns io.EOF: it is an orderly end.
func (e *StatusError) Unwrap() error { return io.EOF }

// Why a WebSocket link was closed for what its peer sent, besides what
// gobwas/ws and codec report.
var (
	errNotBinary   = errors.New("transport: message is not binary")
	errLongHead    = errors.New("transport: length of a WebSocket frame is not in its shortest form")
	errLongMessage = errors.New("transport: WebSocket message too long")
	errFragments   = errors.New("transport: WebSocket message in too many pieces")
	errHalfFrame   = errors.New("transport: WebSocket message ends in the middle of a frame")
	errControl     = errors.New("transport: too many pings or empty messages")
	errCloseFrame  = errors.New("transport: malformed close frame")
)

// wsLink is a link on a WebSocket: frames in binary messages, SPEC 7.
type wsLink struct {
	streamLink
	ws        *wsShared
	tls       *tlsStream    // nil: there is none, or not yet
	windowAt  time.Duration // when the window of control frames began
	status    uint16        // of our close frame; 0: none was chosen
	fragments uint16        // pieces of the message that k.part has; 0: none has begun
	control   uint16        // pings, pongs and empty messages in the window
}

// wsShared is what all WebSocket links of a loop share: gobwas/ws reads and
// writes headers through interfaces, which must not allocate. Owned by the loop.
type wsShared struct {
	in   bytes.Reader
	head headBuf
	tmp  [ws.MaxHeaderSize]byte
	ctl  [2 + ws.MaxControlFramePayloadSize]byte
}

func serveWS(l *Loop) error {
	s := &wsShared{}
	l.accepts[WebSocket] = func() streamConn { return &wsLink{ws: s} }
	return nil
}

func (k *wsLink) Data(in backend.Inbound) {
	if k.tls != nil {
		k.tls.data(in)
		return
	}
	k.arrived(k, in)
}

// Closed is told by the backend, which knows no TLS.
func (k *wsLink) Closed(s backend.Stream, err error) bool {
	if k.tls != nil && k.tls.raw == s {
		s = k.tls
	}
	return k.streamLink.Closed(s, err)
}

func (k *wsLink) partial() int {
	if k.tls != nil {
		return k.left + k.tls.left
	}
	return k.left
}

func (k *wsLink) flush() bool { return k.flushAs(k) }

func (k *wsLink) forget(err error) {
	if k.tls != nil {
		k.tls.stop()
	}
	k.leave(k, err)
}

func (k *wsLink) asks() bool     { return true }
func (k *wsLink) proxyMay() bool { return true }

// write begins a message with the first frame of a batch.
func (k *wsLink) write(frames []byte) bool {
	if len(k.out) == 0 {
		var none [maxServerHead]byte // the header comes last
		k.out = k.loop.bufs.append(k.out, none[:])
	}
	return k.streamLink.write(frames)
}

// pack writes the header of the message that write began and returns all of it.
func (k *wsLink) pack(b []byte) []byte {
	head := k.ws.header(ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(len(b) - maxServerHead)})
	b = b[maxServerHead-len(head):]
	copy(b, head)
	return b
}

func (k *wsLink) finish(status uint16, left bool) time.Duration {
	if status != 0 {
		k.status = status
	}
	return k.streamLink.finish(status, left)
}

// headBuf is where a header is written to.
type headBuf struct {
	b [ws.MaxHeaderSize]byte
	n int
}

func (h *headBuf) Write(p []byte) (int, error) {
	h.n += copy(h.b[h.n:], p)
	return len(p), nil
}

// maxMessage is the longest message that is taken from a peer.
func (c *Config) maxMessage() int { return max(minMessage, c.maxFrame()) }

// data takes the WebSocket frames that are whole. Payloads are unmasked
// where they lie.
func (k *wsLink) data(in backend.Inbound, n int) {
	l := k.loop
	if n < k.need { // in the midst of a frame
		if b, err := in.Peek(1); err == nil && !ws.OpCode(b[0]&0x0f).IsControl() {
			k.received = l.now
		}
		return
	}
	b, err := in.Peek(n)
	if err != nil {
		k.Close(err)
		return
	}
	k.need = 0
	var pong []byte
	used := 0
	for used < n && !k.deaf() {
		h, size, err := k.header(b[used:])
		if err != nil {
			break // closed
		}
		if size == 0 {
			k.need = n - used + 1
			break
		}
		if size += int(h.Length); size > n-used {
			k.need = size
			if !h.OpCode.IsControl() {
				k.received = l.now
			}
			break
		}
		used += size
		payload := b[used-int(h.Length) : used]
		ws.Cipher(payload, h.Mask, 0)
		switch h.OpCode {
		case ws.OpBinary, ws.OpContinuation:
			k.received = l.now
			k.piece(payload, h.Fin)
		case ws.OpPing:
			pong = k.ws.control(ws.OpPong, payload) // to the last one: RFC 6455 5.5.3
		case ws.OpClose:
			k.peerCloses(payload)
		}
	}
	k.take(in, used)
	// A peer that does not read gets no pongs either.
	if pong != nil && k.state&stateClosed == 0 && k.half() {
		k.writeNow(pong)
	}
}

// header reads and judges the header at the start of b. A size of 0 means
// that it is not all here yet.
func (k *wsLink) header(b []byte) (h ws.Header, size int, err error) {
	s := k.ws
	s.in.Reset(b)
	h, err = ws.ReadHeaderBuffer(&s.in, s.tmp[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return h, 0, nil
	}
	status := uint16(ws.StatusProtocolError)
	state := ws.StateServerSide
	if k.fragments > 0 {
		state = state.Set(ws.StateFragmented)
	}
	size = len(b) - s.in.Len()
	switch {
	case err != nil:
	case size != ws.HeaderSize(h):
		err = errLongHead
	case h.OpCode == ws.OpText:
		status, err = uint16(ws.StatusUnsupportedData), errNotBinary
	case !h.OpCode.IsControl() && h.Length > int64(k.loop.t.cfg.maxMessage()-k.partLen()):
		status, err = uint16(ws.StatusMessageTooBig), errLongMessage
	default:
		err = ws.CheckHeader(h, state)
	}
	if err == nil && (h.OpCode == ws.OpPing || h.OpCode == ws.OpPong) && k.tooMany() {
		status, err = uint16(ws.StatusPolicyViolation), errControl
	}
	if err != nil {
		k.fail(status, err)
	}
	return h, size, err
}

// tooMany counts what brings the session no packet, which it could limit.
func (k *wsLink) tooMany() bool {
	if now := k.loop.now; k.windowAt+controlWindow <= now {
		k.windowAt, k.control = now, 0
	}
	k.control++
	return k.control > maxControl
}

// partLen is how much of a partial message, or frame, is kept.
func (k *wsLink) partLen() int {
	if k.part == nil {
		return 0
	}
	return len(k.part.b)
}

// piece takes a message, or the next piece of one, and hands up the frames
// of a message that is whole.
func (k *wsLink) piece(b []byte, last bool) {
	l := k.loop
	if !last || k.fragments > 0 {
		if k.fragments++; k.fragments > maxFragments {
			k.fail(uint16(ws.StatusMessageTooBig), errFragments)
			return
		}
		k.part = l.bufs.extend(k.part, b)
		if !last {
			return
		}
		part := k.part
		k.part, k.fragments = nil, 0
		defer l.bufs.drop(part)
		b = part.b
	}
	if len(b) == 0 && k.tooMany() {
		k.fail(uint16(ws.StatusPolicyViolation), errControl)
		return
	}
	if used := l.frames(&k.Link, b, 0); used < len(b) {
		k.fail(uint16(ws.StatusInvalidFramePayloadData), errHalfFrame)
	}
}

// peerCloses answers a close frame; the link ends.
func (k *wsLink) peerCloses(b []byte) {
	code, reason := ws.ParseCloseFrameDataUnsafe(b)
	var err error = io.EOF
	switch {
	case len(b) == 0:
		k.status = uint16(ws.StatusNormalClosure)
	case len(b) == 1:
		k.fail(uint16(ws.StatusProtocolError), errCloseFrame)
		return
	default:
		if bad := ws.CheckCloseFrameData(code, reason); bad != nil {
			status := ws.StatusProtocolError
			if bad == ws.ErrProtocolInvalidUTF8 {
				status = ws.StatusInvalidFramePayloadData
			}
			k.fail(uint16(status), bad)
			return
		}
		k.status = uint16(code)
		if code != ws.StatusNormalClosure && code != ws.StatusGoingAway {
			err = &StatusError{uint16(code)}
		}
	}
	k.Close(err)
}

// fail closes a link for what its peer sent.
func (k *wsLink) fail(status uint16, err error) {
	if k.state&stateClosed != 0 {
		return
	}
	k.loop.stats.protocol.Add(1)
	k.status = status
	k.Close(err)
}

// malformed chooses the status for a frame that is none.
func (k *wsLink) malformed(err error) {
	status := ws.StatusInvalidFramePayloadData
	if errors.Is(err, codec.ErrTooLarge) {
		status = ws.StatusMessageTooBig
	}
	k.status = uint16(status)
}

// closeStatus is what our close frame says of err, if none was chosen.
func (k *wsLink) closeStatus(err error) uint16 {
	switch {
	case k.status != 0:
		return k.status
	case errors.Is(err, ErrFinished):
		return uint16(ws.StatusNormalClosure)
	case errors.Is(err, ErrOverflow):
		return uint16(ws.StatusPolicyViolation)
	case errors.Is(err, ErrPanic):
		return uint16(ws.StatusInternalServerError)
	}
	return uint16(ws.StatusGoingAway)
}

// bye writes our close frame.
func (k *wsLink) bye(s backend.Stream, err error) {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], k.closeStatus(err))
	_, _ = s.Write(k.ws.control(ws.OpClose, b[:]))
}

// control returns a control frame, in memory that the next one overwrites.
func (s *wsShared) control(op ws.OpCode, payload []byte) []byte {
	h := ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))}
	b := append(s.ctl[:0], s.header(h)...)
	return append(b, payload...)
}

// header returns the bytes of a header, in memory that the next one overwrites.
func (s *wsShared) header(h ws.Header) []byte {
	s.head.n = 0
	_ = ws.WriteHeaderBuffer(&s.head, h, s.tmp[:])
	return s.head.b[:s.head.n]
}
