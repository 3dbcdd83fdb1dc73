// SPDX-License-Identifier: MIT

package kcp

import (
	"encoding/binary"
	"time"
)

// HeaderSize is the size of the header before every segment, in bytes (SPEC 1).
const HeaderSize = 24

// Commands (SPEC 1).
const (
	cmdPush       = 81 + iota // carries bytes of the stream
	cmdAck                    // acknowledges one push
	cmdWindowAsk              // asks for the receive window (ikcp: WASK)
	cmdWindowTell             // advertises it (ikcp: WINS)
)

// A header is what precedes every segment on the wire (SPEC 1).
type header struct {
	conv uint32
	cmd  uint8
	frg  uint8
	wnd  uint16
	ts   uint32
	sn   uint32
	una  uint32
	size uint32
}

// parseHeader reads the header at the start of b, which holds at least
// HeaderSize bytes. It judges nothing.
func parseHeader(b []byte) header {
	_ = b[HeaderSize-1]
	return header{
		conv: binary.LittleEndian.Uint32(b),
		cmd:  b[4],
		frg:  b[5],
		wnd:  binary.LittleEndian.Uint16(b[6:]),
		ts:   binary.LittleEndian.Uint32(b[8:]),
		sn:   binary.LittleEndian.Uint32(b[12:]),
		una:  binary.LittleEndian.Uint32(b[16:]),
		size: binary.LittleEndian.Uint32(b[20:]),
	}
}

func (h *header) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, h.conv)
	b = append(b, h.cmd, h.frg)
	b = binary.LittleEndian.AppendUint16(b, h.wnd)
	b = binary.LittleEndian.AppendUint32(b, h.ts)
	b = binary.LittleEndian.AppendUint32(b, h.sn)
	b = binary.LittleEndian.AppendUint32(b, h.una)
	return binary.LittleEndian.AppendUint32(b, h.size)
}

// stamp is the ts field, the timestamp, for a moment on the loop's clock.
func stamp(now time.Duration) uint32 { return uint32(now / time.Millisecond) }

// before reports whether a comes before b in a sequence that wraps at 2^32.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// A segment is a piece of the stream that waits: to be sent, to be acknowledged,
// for the segments before it, or to be read.
// It is owned by the Conn whose queue holds it, or by the pool.
type segment struct {
	next     *segment
	data     []byte
	sent     time.Duration // in sndBuf: the latest transmission
	due      time.Duration // in sndBuf: when it times out
	sn       uint32
	ts       uint32 // in sndBuf: timestamp of the first transmission; in rcvBuf: the peer's timestamp
	fastAcks uint8  // in sndBuf: how many later segments were acknowledged first (ikcp: fastack)
	pending  bool   // in sndBuf: send it again; in rcvBuf: acknowledge it

	retransmitted bool // in sndBuf: it was taken for lost
}

// A queue is a list of segments in the order of the stream.
// It is owned by its Conn.
type queue struct {
	head, tail *segment
}

func (q *queue) push(s *segment) {
	s.next = nil
	if q.tail == nil {
		q.head = s
	} else {
		q.tail.next = s
	}
	q.tail = s
}

// insert puts s behind prev, or first when prev is nil.
func (q *queue) insert(prev, s *segment) {
	if prev == q.tail {
		q.push(s)
		return
	}
	if prev == nil {
		s.next, q.head = q.head, s
		return
	}
	s.next, prev.next = prev.next, s
}

// remove takes s out; prev is the segment before it, nil when s is the first.
func (q *queue) remove(prev, s *segment) {
	if prev == nil {
		q.head = s.next
	} else {
		prev.next = s.next
	}
	if q.tail == s {
		q.tail = prev
	}
	s.next = nil
}

func (q *queue) pop() *segment {
	s := q.head
	q.remove(nil, s)
	return s
}
