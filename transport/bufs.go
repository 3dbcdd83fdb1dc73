// SPDX-License-Identifier: MIT

package transport

import "math/bits"

const (
	minBufBits = 9  // 512 bytes
	maxBufBits = 22 // 4 MiB; larger ones are left to the garbage collector
	keepBytes  = 1 << 20
)

// bufPool keeps byte slices of power-of-two capacities for what links gather
// for a moment: their memory follows the links that are busy, not all links.
// Owned by its loop.
type bufPool struct {
	free [maxBufBits + 1][][]byte
	held int
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
