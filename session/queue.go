// SPDX-License-Identifier: MIT

package session

import (
	"math/bits"

	"github.com/lifeline-go/lifeline/codec"
)

const (
	minBlock   = 6 // log2 of the smallest block, 64 bytes
	blockSizes = 11
	minRing    = 3 // log2 of the smallest ring, 8 packets
	ringSizes  = 9

	poolBytes = 4 << 20 // most that one pool keeps of blocks, and of rings
)

// Pool recycles the memory in which unacknowledged packets wait, so that an
// idle session has none and a busy one allocates nothing. It is owned by one
// loop; a block may come from one pool and end in another.
type Pool struct {
	blocks   [blockSizes][][]byte
	rings    [ringSizes][][]packet
	backlogs []*backlog
	kept     int // bytes in all three
	held     int // bytes that the packets of the loop's sessions take, see cost
}

// Held returns how much memory the packets that wait in the sessions of this
// pool's owner take. A body shared by many counts for each session that holds
// it, so that the sum is never less than the truth.
func (p *Pool) Held() int { return p.held }

// block returns a copy of b in a block of its own.
func (p *Pool) block(b []byte) []byte {
	class := max(bits.Len(uint(max(len(b), 1)-1)), minBlock) - minBlock
	if class >= blockSizes {
		return append(make([]byte, 0, len(b)), b...)
	}
	if len(p.blocks[class]) > 0 {
		got := pop(&p.blocks[class])
		p.kept -= cap(got)
		return append(got, b...)
	}
	return append(make([]byte, 0, 1<<(class+minBlock)), b...)
}

func (p *Pool) freeBlock(b []byte) {
	class := bits.Len(uint(cap(b))) - 1 - minBlock
	if class < 0 || class >= blockSizes || cap(b) != 1<<(class+minBlock) || p.kept+cap(b) > poolBytes {
		return
	}
	p.kept += cap(b)
	p.blocks[class] = append(p.blocks[class], b[:0])
}

// pop takes the last of a list, which does not refer to it any more.
func pop[T any](list *[]T) T {
	var none T
	last := len(*list) - 1
	got := (*list)[last]
	(*list)[last] = none
	*list = (*list)[:last]
	return got
}

const packetSize = 32

func (p *Pool) ring(n int) []packet {
	class := max(bits.Len(uint(n-1)), minRing) - minRing
	if class < ringSizes {
		if len(p.rings[class]) > 0 {
			got := pop(&p.rings[class])
			p.kept -= len(got) * packetSize
			return got
		}
	}
	return make([]packet, 1<<(class+minRing))
}

// freeRing takes back a ring whose packets are all zero.
func (p *Pool) freeRing(r []packet) {
	class := bits.Len(uint(len(r))) - 1 - minRing
	if class < 0 || class >= ringSizes || p.kept+len(r)*packetSize > poolBytes {
		return
	}
	p.kept += len(r) * packetSize
	p.rings[class] = append(p.rings[class], r)
}

// packet is one counted packet that waits for its acknowledgement.
type packet struct {
	body   []byte
	kind   codec.Kind
	shared bool   // body belongs to many sessions and is never written to or recycled
	tag    uint32 // 0, or what it was offered under: see Session.Offer
}

// cost is what the packet takes of memory, its place in the ring included.
func (p *packet) cost() int {
	if p.shared {
		return packetSize + len(p.body)
	}
	return packetSize + cap(p.body)
}

// Cost returns what a packet with a body of n bytes takes of memory.
func Cost(n int, shared bool) int {
	if size := max(bits.Len(uint(max(n, 1)-1)), minBlock); !shared && size < minBlock+blockSizes {
		n = 1 << size
	}
	return packetSize + n
}

// queue is the one outbound buffer of a session: packets in order of their
// numbers, trimmed at the head as they are acknowledged. Empty, as it mostly is,
// it is one pointer: its memory comes from and returns to the owner's pool.
type queue struct{ *backlog }

// backlog is a queue with something in it.
type backlog struct {
	ring  []packet
	head  uint32
	n     uint32
	bytes int // of bodies
}

const backlogSize = 40

func (p *Pool) backlog() *backlog {
	if len(p.backlogs) > 0 {
		got := pop(&p.backlogs)
		p.kept -= backlogSize
		return got
	}
	return new(backlog)
}

func (p *Pool) freeBacklog(b *backlog) {
	if p.kept+backlogSize > poolBytes {
		return
	}
	*b = backlog{}
	p.kept += backlogSize
	p.backlogs = append(p.backlogs, b)
}

func (q queue) len() int {
	if q.backlog == nil {
		return 0
	}
	return int(q.n)
}

// size is the bytes of all bodies.
func (q queue) size() int {
	if q.backlog == nil {
		return 0
	}
	return q.bytes
}

// at returns the i-th packet from the head.
func (b *backlog) at(i int) *packet { return &b.ring[(int(b.head)+i)&(len(b.ring)-1)] }

func (q *queue) push(pool *Pool, kind codec.Kind, body []byte, shared bool) {
	if q.backlog == nil {
		q.backlog = pool.backlog()
	}
	if int(q.n) == len(q.ring) {
		q.grow(pool)
	}
	if !shared {
		body = pool.block(body)
	}
	at := q.at(int(q.n))
	*at = packet{body: body, kind: kind, shared: shared}
	pool.held += at.cost()
	q.n++
	q.bytes += len(body)
}

func (b *backlog) grow(pool *Pool) {
	old := b.ring
	ring := pool.ring(max(2*len(old), 1<<minRing))
	for i := range int(b.n) {
		ring[i] = *b.at(i)
	}
	b.ring, b.head = ring, 0
	if old != nil {
		clear(old)
		pool.freeRing(old)
	}
}

// pop drops the head and returns the size of its body.
func (q *queue) pop(pool *Pool) int {
	at := q.at(0)
	p := *at
	*at = packet{}
	q.head++
	q.n--
	q.drop(pool, p)
	return len(p.body)
}

// remove takes out the packet at i: those behind it move up.
func (q *queue) remove(pool *Pool, i int) {
	gone := *q.at(i)
	for ; i < int(q.n)-1; i++ {
		*q.at(i) = *q.at(i + 1)
	}
	*q.at(i) = packet{}
	q.n--
	q.drop(pool, gone)
}

// drop ends the life of a packet that was taken out.
func (q *queue) drop(pool *Pool, p packet) {
	q.bytes -= len(p.body)
	pool.held -= p.cost()
	if !p.shared {
		pool.freeBlock(p.body)
	}
	if q.n == 0 {
		pool.freeRing(q.ring)
		pool.freeBacklog(q.backlog)
		q.backlog = nil
	}
}

// popCopy pops the head and returns it as a packet of its own.
func (q *queue) popCopy(pool *Pool) codec.Packet {
	p := q.at(0)
	own := codec.Packet{Header: codec.Header{Kind: p.kind}, Body: append([]byte(nil), p.body...)}
	q.pop(pool)
	return own
}

func (q *queue) clear(pool *Pool) {
	for q.len() > 0 {
		q.pop(pool)
	}
}

// cost is what the packets take of memory.
func (q *queue) cost() (n int) {
	for i := range q.len() {
		n += q.at(i).cost()
	}
	return n
}
