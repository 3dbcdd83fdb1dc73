// SPDX-License-Identifier: MIT

package kcp

import "unsafe"

// Buffers come in two sizes, both size classes of the Go allocator: game
// messages are small, and a small buffer touches few cache lines.
const (
	smallBuffer = 256
	largeBuffer = 1536
)

// defaultRetain is what an idle Pool may hold: 1,000 datagrams or so.
const defaultRetain = 4 << 20

// A Pool keeps unused segments and traffic of one loop's conversations. The last
// one that came back goes out first, because it is still in the cache. Owned by its
// loop.
type Pool struct {
	small, large *segment
	traffic      *traffic
	free         int // bytes on the three lists
	retain       int
}

// NewPool returns a pool that retains at most that many unused bytes. The garbage
// collector takes the rest. If retain is zero, 4 MiB. If negative, nothing is
// retained.
func NewPool(retain int) *Pool {
	if retain == 0 {
		retain = defaultRetain
	}
	return &Pool{retain: retain}
}

// get returns a segment without data but with room for n bytes of it, at most
// largeBuffer. A nil pool allocates.
func (p *Pool) get(n int) *segment {
	size := smallBuffer
	if n > smallBuffer {
		size = largeBuffer
	}
	if p != nil {
		list := p.list(size)
		if s := *list; s != nil {
			*list = s.next
			s.next = nil
			p.free -= footprint(s)
			return s
		}
	}
	return &segment{data: make([]byte, 0, size)}
}

// put takes back a segment that is in no queue.
func (p *Pool) put(s *segment) {
	if p == nil || p.free+footprint(s) > p.retain {
		return
	}
	p.free += footprint(s)
	list := p.list(cap(s.data))
	*s = segment{next: *list, data: s.data[:0]}
	*list = s
}

// getTraffic returns traffic with nothing in it. A nil pool allocates.
func (p *Pool) getTraffic() *traffic {
	if p == nil || p.traffic == nil {
		t := idleTraffic
		return &t
	}
	t := p.traffic
	p.traffic, t.free = t.free, nil
	p.free -= int(unsafe.Sizeof(*t))
	return t
}

// putTraffic takes back traffic with nothing in it.
func (p *Pool) putTraffic(t *traffic) {
	size := int(unsafe.Sizeof(*t))
	if p == nil || p.free+size > p.retain {
		return
	}
	p.free += size
	*t = idleTraffic
	t.free, p.traffic = p.traffic, t
}

func (p *Pool) list(size int) **segment {
	if size == smallBuffer {
		return &p.small
	}
	return &p.large
}

func footprint(s *segment) int { return int(unsafe.Sizeof(*s)) + cap(s.data) }
