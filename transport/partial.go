// SPDX-License-Identifier: MIT

package transport

import "github.com/lifeline-go/lifeline/transport/internal/linked"

// partialBudget bounds the partial frames of all links of a loop together: the
// beginning of a frame, or KCP segments that wait for one before them. Each link is
// bounded too. Beyond the limit the links are closed that have handed up nothing
// for longest: honest frames are complete a moment later. K names a link. Owned by
// the loop.
type partialBudget[K comparable] struct {
	limit, bytes int
	at           map[K]*linked.Node[partialUse[K]]
	order        linked.List[partialUse[K]] // by when they last handed up a packet
}

// partialUse is what one link keeps.
type partialUse[K comparable] struct {
	k     K
	bytes int
}

// note says that k keeps n bytes now, more than none. progress says that it has
// handed up a packet, and begins anew.
func (b *partialBudget[K]) note(k K, n int, progress bool) {
	use := b.at[k]
	if progress || use == nil {
		b.remove(k)
		if b.at == nil {
			b.at = make(map[K]*linked.Node[partialUse[K]])
		}
		use = &linked.Node[partialUse[K]]{Value: partialUse[K]{k: k}}
		b.order.Push(use)
		b.at[k] = use
	}
	b.bytes += n - use.Value.bytes
	use.Value.bytes = n
}

// remove takes k out, if it is in.
func (b *partialBudget[K]) remove(k K) {
	if use := b.at[k]; use != nil {
		delete(b.at, k)
		b.bytes -= use.Value.bytes
		b.order.Remove(use)
	}
}

// over takes out the link that is to close next, if the limit is passed.
func (b *partialBudget[K]) over() (k K, ok bool) {
	if b.bytes <= b.limit {
		return k, false
	}
	k = b.order.First().Value.k
	b.remove(k)
	return k, true
}
