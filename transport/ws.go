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

// wsPart is what a Link on a WebSocket has besides its tcpPart. Owned by the loop.
type wsPart struct {
	windowAt  time.Duration // when the window of control frames began
	status    uint16        // of our close frame; 0: none was chosen
	fragments uint16        // pieces of the message that k.part gathers; 0: none has begun
	control   uint16        // pings, pongs and empty messages in the window
}

// wsLink is a Link with both its parts in one allocation.
type wsLink struct {
	Link
	tcpPart
	wsPart
}

// wsShared is what all WebSocket links of a loop share: gobwas/ws reads and
// writes headers through interfaces, which must not allocate. Owned by the loop.
type wsShared struct {
	in   bytes.Reader
	head headBuf
	tmp  [ws.MaxHeaderSize]byte
	ctl  [2 + ws.MaxControlFramePayloadSize]byte
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

// wsData takes the WebSocket frames that are whole. Payloads are unmasked
// where they lie.
func (l *Loop) wsData(k *Link, in backend.Inbound, n int) {
	if n == 0 {
		return
	}
	if n < k.tcp.need {
		k.received = l.now // in the midst of a frame: pings and pongs are too short for that
		return
	}
	b, err := in.Peek(n)
	if err != nil {
		k.Close(err)
		return
	}
	k.tcp.need = 0
	var pong []byte
	used := 0
	for used < n && !k.deaf() {
		h, size, err := l.wsHeader(k, b[used:])
		if err != nil {
			break // closed
		}
		if size == 0 {
			k.tcp.need = n - used + 1
			break
		}
		if size += int(h.Length); size > n-used {
			k.tcp.need = size
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
			l.wsPiece(k, payload, h.Fin)
		case ws.OpPing:
			pong = l.wsFrame(ws.OpPong, payload) // to the last one: RFC 6455 5.5.3
		case ws.OpClose:
			l.wsPeerCloses(k, payload)
		}
	}
	k.take(in, used)
	// A peer that does not read gets no pongs either.
	if pong != nil && k.state&stateClosed == 0 && k.half() {
		k.writeNow(pong)
	}
}

// wsHeader reads and judges the header at the start of b. A size of 0 means
// that it is not all here yet.
func (l *Loop) wsHeader(k *Link, b []byte) (h ws.Header, size int, err error) {
	s, w := &l.ws, k.tcp.ws
	s.in.Reset(b)
	h, err = ws.ReadHeaderBuffer(&s.in, s.tmp[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return h, 0, nil
	}
	status := uint16(ws.StatusProtocolError)
	state := ws.StateServerSide
	if w.fragments > 0 {
		state = state.Set(ws.StateFragmented)
	}
	size = len(b) - s.in.Len()
	switch {
	case err != nil:
	case size != ws.HeaderSize(h):
		err = errLongHead
	case h.OpCode == ws.OpText:
		status, err = uint16(ws.StatusUnsupportedData), errNotBinary
	case !h.OpCode.IsControl() && h.Length > int64(l.t.cfg.maxMessage()-k.partLen()):
		status, err = uint16(ws.StatusMessageTooBig), errLongMessage
	default:
		err = ws.CheckHeader(h, state)
	}
	if err == nil && (h.OpCode == ws.OpPing || h.OpCode == ws.OpPong) && w.tooMany(l.now) {
		status, err = uint16(ws.StatusPolicyViolation), errControl
	}
	if err != nil {
		l.wsFail(k, status, err)
	}
	return h, size, err
}

// tooMany counts what brings the session no packet, which it could limit.
func (w *wsPart) tooMany(now time.Duration) bool {
	if w.windowAt+controlWindow <= now {
		w.windowAt, w.control = now, 0
	}
	w.control++
	return w.control > maxControl
}

// partLen is how much of a partial message, or frame, is kept.
func (k *Link) partLen() int {
	if k.part == nil {
		return 0
	}
	return len(k.part.b)
}

// wsPiece takes a message, or the next piece of one, and hands up the frames
// of a message that is whole.
func (l *Loop) wsPiece(k *Link, b []byte, last bool) {
	w := k.tcp.ws
	if !last || w.fragments > 0 {
		if w.fragments++; w.fragments > maxFragments {
			l.wsFail(k, uint16(ws.StatusMessageTooBig), errFragments)
			return
		}
		k.part = l.bufs.extend(k.part, b)
		if !last {
			return
		}
		part := k.part
		k.part, w.fragments = nil, 0
		defer l.bufs.drop(part)
		b = part.b
	}
	if len(b) == 0 && w.tooMany(l.now) {
		l.wsFail(k, uint16(ws.StatusPolicyViolation), errControl)
		return
	}
	if used := l.frames(k, b, 0); used < len(b) {
		l.wsFail(k, uint16(ws.StatusInvalidFramePayloadData), errHalfFrame)
	}
}

// wsPeerCloses answers a close frame; the link ends.
func (l *Loop) wsPeerCloses(k *Link, b []byte) {
	code, reason := ws.ParseCloseFrameDataUnsafe(b)
	var err error = io.EOF
	switch {
	case len(b) == 0:
		k.tcp.ws.status = uint16(ws.StatusNormalClosure)
	case len(b) == 1:
		l.wsFail(k, uint16(ws.StatusProtocolError), errCloseFrame)
		return
	default:
		if bad := ws.CheckCloseFrameData(code, reason); bad != nil {
			status := ws.StatusProtocolError
			if bad == ws.ErrProtocolInvalidUTF8 {
				status = ws.StatusInvalidFramePayloadData
			}
			l.wsFail(k, uint16(status), bad)
			return
		}
		k.tcp.ws.status = uint16(code)
		if code != ws.StatusNormalClosure && code != ws.StatusGoingAway {
			err = &StatusError{uint16(code)}
		}
	}
	k.Close(err)
}

// wsFail closes a link for what its peer sent.
func (l *Loop) wsFail(k *Link, status uint16, err error) {
	if k.state&stateClosed != 0 {
		return
	}
	l.stats.protocol.Add(1)
	k.tcp.ws.status = status
	k.Close(err)
}

// malformed closes a link for a frame that is none.
func (l *Loop) malformed(k *Link, err error) {
	if k.tcp != nil && k.tcp.ws != nil {
		status := ws.StatusInvalidFramePayloadData
		if errors.Is(err, codec.ErrTooLarge) {
			status = ws.StatusMessageTooBig
		}
		k.tcp.ws.status = uint16(status)
	}
	l.stats.protocol.Add(1)
	k.Close(err)
}

// closeStatus is what our close frame says of err, if nobody has chosen better.
func (w *wsPart) closeStatus(err error) uint16 {
	switch {
	case w.status != 0:
		return w.status
	case errors.Is(err, ErrFinished):
		return uint16(ws.StatusNormalClosure)
	case errors.Is(err, ErrOverflow):
		return uint16(ws.StatusPolicyViolation)
	case errors.Is(err, ErrPanic):
		return uint16(ws.StatusInternalServerError)
	}
	return uint16(ws.StatusGoingAway)
}

// wsClose writes our close frame.
func (l *Loop) wsClose(s backend.Stream, status uint16) {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], status)
	_, _ = s.Write(l.wsFrame(ws.OpClose, b[:]))
}

// wsFrame returns a control frame, in memory that the next one overwrites.
func (l *Loop) wsFrame(op ws.OpCode, payload []byte) []byte {
	h := ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))}
	b := append(l.ws.ctl[:0], l.wsHead(h)...)
	return append(b, payload...)
}

// wsHead returns the bytes of a header, in memory that the next one overwrites.
func (l *Loop) wsHead(h ws.Header) []byte {
	s := &l.ws
	s.head.n = 0
	_ = ws.WriteHeaderBuffer(&s.head, h, s.tmp[:])
	return s.head.b[:s.head.n]
}

// wsBegin begins a message: its header comes last.
func (l *Loop) wsBegin(b []byte) []byte {
	var none [maxServerHead]byte
	return l.bufs.append(b, none[:])
}

// wsSeal writes the header of the message that wsBegin began and returns all of it.
func (l *Loop) wsSeal(b []byte) []byte {
	head := l.wsHead(ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(len(b) - maxServerHead)})
	b = b[maxServerHead-len(head):]
	copy(b, head)
	return b
}
