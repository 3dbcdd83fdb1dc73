// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"
	"sync"
)

// maxLocals bounds the local addresses that are told apart: a link has one byte
// for its own.
const maxLocals = 255

// local names the address of this machine that a peer sends to, and so the one
// that it must be answered from: 1 + a place in locals. 0 is no address in
// particular: the kernel chooses.
type local uint8

// locals are the addresses that datagrams came to on a wildcard listener. Only
// the addresses of this machine come in, so nothing is taken out. Where there
// are more than maxLocals of them the kernel chooses for the rest, which is
// counted. Guarded by mu.
type locals struct {
	mu    sync.RWMutex
	names map[netip.Addr]local
	addrs []netip.Addr
}

// name returns the name of a, and whether it has one.
func (t *locals) name(a netip.Addr) (local, bool) {
	t.mu.RLock()
	name, ok := t.names[a]
	t.mu.RUnlock()
	if ok {
		return name, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if name, ok = t.names[a]; ok {
		return name, true
	}
	if len(t.addrs) == maxLocals {
		return 0, false
	}
	if t.names == nil {
		t.names = make(map[netip.Addr]local)
	}
	t.addrs = append(t.addrs, a)
	name = local(len(t.addrs))
	t.names[a] = name
	return name, true
}

// addr returns the address of a name. That of 0 is invalid.
func (t *locals) addr(name local) (a netip.Addr) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if name > 0 {
		a = t.addrs[name-1]
	}
	return a
}
