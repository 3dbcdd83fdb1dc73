// SPDX-License-Identifier: MIT

package transport

import "math/bits"

const (
	minBufBits = 9  // 512 bytes
	maxBufBits = 22 // 4 MiB; larger ones are left to the garbage collector
	keepBytes  = 1 << 20
)

// bufPool keeps byte slices of power-of-two capacities for what links collect
// for a moment: their memory follows the links that are busy, not all links.
// Owned by its loop.
type bufPool struct {
	free  [maxBufBits + 1][][]byte
	held  int
	parts []*part
}

// part is the beginning of a frame. A link has a pointer to one only while it
// waits for the rest, because a slice would cost every idle link 16 bytes.
type part struct{ b []byte }

// extend appends data to p, or begins one.
func (p *bufPool) extend(to *part, data []byte) *part {
	if to == nil {
		if n := len(p.parts); n > 0 {
			to, p.parts = p.parts[n-1], p.parts[:n-1]
		} else {
			to = new(part)
		}
	}
	to.b = p.append(to.b, data)
	return to
}

// drop takes a part back.
func (p *bufPool) drop(old *part) {
	p.put(old.b)
	old.b = nil
	if len(p.parts) < 256 {
		p.parts = append(p.parts, old)
	}
}

// append is append, with memory of the pool.
func (p *bufPool) append(b, data []byte) []byte {
	if need := len(b) + len(data); need > cap(b) {
		bigger := append(p.get(need), b...)
		p.put(b)
		b = bigger
	}
	return append(b, data...)
}

func (p *bufPool) get(n int) []byte {
	class := max(bits.Len(uint(n-1)), minBufBits)
	if class > maxBufBits {
		return make([]byte, 0, n)
	}
	if list := p.free[class]; len(list) > 0 {
		b := list[len(list)-1]
		list[len(list)-1] = nil
		p.free[class] = list[:len(list)-1]
		p.held -= cap(b)
		return b
	}
	return make([]byte, 0, 1<<class)
}

// put takes b back. The caller must not touch it again.
func (p *bufPool) put(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minBufBits || class > maxBufBits || cap(b) != 1<<class || p.held+cap(b) > keepBytes {
		return
	}
	p.held += cap(b)
	p.free[class] = append(p.free[class], b[:0])
}
