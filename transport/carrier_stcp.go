// SPDX-License-Identifier: MIT

package transport

import (
	"errors"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// errHalfRecord closes a link whose peer sent a record that ends within a frame.
var errHalfRecord = errors.New("transport: record ends in the middle of a frame")

// stcpLink is a link of sealed TCP: records of frames, SPEC 9 and transport/seal/SPEC
// 10.
type stcpLink struct {
	streamLink
	responder *seal.Responder // of the loop
	seal      seal.Stream
	begin     int // of the record that is being written, in streamLink.out
}

func serveSTCP(l *Loop) error {
	r, err := l.newResponder(noIDs{})
	l.accepts[SealedTCP] = func() streamConn { return &stcpLink{responder: r} }
	return err
}

// noIDs are the connection ids of streams, which have none.
type noIDs struct{}

func (noIDs) Reserve() (uint32, bool) { return 0, false }
func (noIDs) Free(uint32)             {}

func (k *stcpLink) Data(in backend.Inbound) { k.arrived(k, in) }

func (k *stcpLink) flush() bool { return k.flushAs(k) }

func (k *stcpLink) forget(err error) { k.leave(k, err) }

func (k *stcpLink) asks() bool { return true }

// request waits for the hello. What can't be one ends the connection at its first
// bytes.
func (k *stcpLink) request(in backend.Inbound) bool {
	b, err := in.Peek(min(k.left, seal.StreamHelloSize))
	if err == nil {
		err = k.responder.BeginsStream(b)
	}
	if err != nil {
		k.Close(err)
		return false
	}
	return len(b) == seal.StreamHelloSize
}

// grant does the handshake.
func (k *stcpLink) grant(in backend.Inbound) (g granted) {
	b, err := in.Peek(seal.StreamHelloSize)
	if err != nil {
		return granted{err: err}
	}
	l := k.loop
	a, answer, err := k.responder.AcceptStream(l.now, k.addr.Addr(), b)
	if err == seal.ErrRate {
		l.t.admission.tell(SealedTCP, k.addr.Addr(), l.now)
	}
	k.take(in, seal.StreamHelloSize)
	k.seal = a.Stream
	return granted{answer: answer, nonce: a.Nonce, err: err}
}

// write puts frames into records: as many as fit, or a large one alone.
func (k *stcpLink) write(frames []byte) bool {
	for len(frames) > 0 {
		n := len(frames)
		if n > minMessage {
			n = wholeFrames(frames)
		}
		if len(k.out) > k.begin && len(k.out)-k.begin+n > seal.RecordHead+minMessage {
			k.endRecord()
		}
		if len(k.out) == k.begin {
			var head [seal.RecordHead]byte // the length comes last
			k.out = k.loop.bufs.append(k.out, head[:])
		}
		k.out = k.loop.bufs.append(k.out, frames[:n])
		// pack must find room for the tag: it can't give out back.
		var tag [seal.TagSize]byte
		k.out = k.loop.bufs.append(k.out, tag[:])[:len(k.out)]
		frames = frames[n:]
	}
	return true
}

// wholeFrames is the length of the frames that fit into a record, at least of one.
func wholeFrames(b []byte) int {
	n := 0
	for n < len(b) {
		size, err := codec.FrameSize(b[n:], maxMaxBody)
		if err != nil || size == 0 {
			return len(b) // not frames: the peer says so
		}
		if n > 0 && n+size > minMessage {
			break
		}
		n += size
	}
	return n
}

// endRecord seals the record that write has begun.
func (k *stcpLink) endRecord() {
	k.out = k.out[:k.begin+len(k.seal.Seal(k.out[k.begin:]))]
	k.begin = len(k.out)
}

// pack seals the last record.
func (k *stcpLink) pack(b []byte) []byte {
	b = b[:k.begin+len(k.seal.Seal(b[k.begin:]))]
	k.begin = 0
	return b
}

// data takes the frames of the records that are whole. A record is opened where it
// lies. One that trickles in is looked at once its length is known, and then not
// again before all of it is here.
func (k *stcpLink) data(in backend.Inbound, n int) {
	l := k.loop
	k.received = l.now
	if n < k.need {
		return
	}
	b, err := in.Peek(n)
	if err != nil {
		k.Close(err)
		return
	}
	k.need = 0
	used := 0
	for used < n && !k.deaf() {
		size, err := seal.RecordSize(b[used:], l.t.cfg.maxMessage())
		if err != nil {
			l.stats.protocol.Add(1)
			k.Close(err)
			break
		}
		if size == 0 || size > n-used {
			k.need = max(size, n-used+1)
			break
		}
		plain, err := k.seal.Open(b[used : used+size])
		used += size
		if err != nil {
			l.stats.forged.Add(1)
			k.Close(err)
			break
		}
		if taken := l.frames(&k.Link, plain, 0); taken < len(plain) && !k.deaf() {
			l.stats.protocol.Add(1)
			k.Close(errHalfRecord)
		}
	}
	k.take(in, used)
}
