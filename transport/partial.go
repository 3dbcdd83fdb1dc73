// SPDX-License-Identifier: MIT

package transport

// partialBudget bounds the partial frames of all links of a loop together: the
// beginning of a frame, or KCP segments that wait for one before them. Each link is
// bounded too. Beyond the limit the links are closed that have handed up nothing
// for longest: honest frames are complete a moment later. Owned by the loop.
type partialBudget struct {
	limit, bytes int
	at           map[*Link]*partialEntry
	oldest, last *partialEntry
}

// partialEntry is what one link keeps. Owned by partialBudget.
type partialEntry struct {
	k            *Link
	bytes        int
	older, newer *partialEntry
}

// partialBytes is how many bytes of partial frames the link keeps.
func (k *Link) partialBytes() (n int) {
	if k.part != nil {
		n = cap(k.part.b)
	}
	if k.kcp != nil {
		return n + k.kcp.Early()
	}
	return n + k.tcp.left
}

// notePartial takes note of the partial frames of k after something has arrived.
// progress says that a packet was handed up.
func (l *Loop) notePartial(k *Link, progress bool) {
	n := k.partialBytes()
	if n == 0 && k.state&statePartial == 0 || k.state&stateClosed != 0 {
		return // forget sees to the latter
	}
	h := &l.partials
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
		l.stats.overBudget.Add(1)
		out.Close(ErrOverBudget)
	}
}

func (h *partialBudget) add(k *Link) *partialEntry {
	if h.at == nil {
		h.at = make(map[*Link]*partialEntry)
	}
	m := &partialEntry{k: k, older: h.last}
	if h.last == nil {
		h.oldest = m
	} else {
		h.last.newer = m
	}
	h.last, h.at[k] = m, m
	k.state |= statePartial
	return m
}

// remove takes k out, if it is in.
func (h *partialBudget) remove(k *Link) {
	if k.state&statePartial == 0 {
		return
	}
	m := h.at[k]
	delete(h.at, k)
	k.state &^= statePartial
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
