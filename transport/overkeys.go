// SPDX-License-Identifier: MIT

package transport

import "sync"

// maxOver bounds the sessions in an overKeys.
const maxOver = 1 << 16

// overKeys are the sessions whose keys open nothing any more. When full, the
// oldest is forgotten. Guarded by mu.
type overKeys struct {
	mu    sync.RWMutex
	known map[[16]byte]struct{}
	order [][16]byte
	next  int
}

func (o *overKeys) add(session [16]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.known[session]; ok {
		return
	}
	if o.known == nil {
		o.known = make(map[[16]byte]struct{})
	}
	o.known[session] = struct{}{}
	if len(o.order) < maxOver {
		o.order = append(o.order, session)
		return
	}
	delete(o.known, o.order[o.next])
	o.order[o.next] = session
	o.next = (o.next + 1) % maxOver
}

func (o *overKeys) has(session [16]byte) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	_, ok := o.known[session]
	return ok
}
