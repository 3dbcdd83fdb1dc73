// SPDX-License-Identifier: MIT

package transport

// holding are the links that hold something of their peers that is not whole:
// the beginning of a frame, or KCP segments that wait for one before them.
// Each link is bounded, and this bounds all of them together: beyond its limit
// those are closed that have handed up nothing for longest. Honest frames are
// whole a moment later; the others are what memory is filled with. Owned by
// the loop.
type holding struct {
	limit, bytes int
	at           map[*Link]*held
	oldest, last *held
}

// held is what one link holds. Owned by holding.
type held struct {
	k            *Link
	bytes        int
	older, newer *held
}

// unfinished is how much the link holds of what is not whole.
func (k *Link) unfinished() (n int) {
	if k.part != nil {
		n = cap(k.part.b)
	}
	if k.kcp != nil {
		return n + k.kcp.Early()
	}
	return n + k.tcp.left
}

// holds takes note of what k holds after something has arrived. progress says
// that a packet was handed up.
func (l *Loop) holds(k *Link, progress bool) {
	n := k.unfinished()
	if n == 0 && k.state&stateHolds == 0 || k.state&stateClosed != 0 {
		return // forget sees to the latter
	}
	h := &l.holding
	m := h.at[k]
	if n == 0 || progress || m == nil {
		h.remove(k)
		if n == 0 {
			return
		}
		m = h.add(k)
	}
	h.bytes += n - m.bytes
	m.bytes = n
	for h.bytes > h.limit {
		out := h.oldest.k
		h.remove(out)
		l.stats.unfinished.Add(1)
		out.Close(ErrUnfinished)
	}
}

func (h *holding) add(k *Link) *held {
	if h.at == nil {
		h.at = make(map[*Link]*held)
	}
	m := &held{k: k, older: h.last}
	if h.last == nil {
		h.oldest = m
	} else {
		h.last.newer = m
	}
	h.last, h.at[k] = m, m
	k.state |= stateHolds
	return m
}

// remove forgets what k holds, if that is anything.
func (h *holding) remove(k *Link) {
	if k.state&stateHolds == 0 {
		return
	}
	m := h.at[k]
	delete(h.at, k)
	k.state &^= stateHolds
	h.bytes -= m.bytes
	if m.older == nil {
		h.oldest = m.newer
	} else {
		m.older.newer = m.newer
	}
	if m.newer == nil {
		h.last = m.older
	} else {
		m.newer.older = m.older
	}
}
