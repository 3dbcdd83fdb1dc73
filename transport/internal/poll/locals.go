// SPDX-License-Identifier: MIT

package poll

import (
	"net/netip"
	"sync"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// MaxLocals bounds the local addresses that are told apart: a link has one byte
// for its own.
const MaxLocals = 255

// Locals are the addresses that datagrams came to on a wildcard listener. Only
// the addresses of this machine come in, so nothing is taken out. Where there
// are more than MaxLocals of them the kernel chooses for the rest, which is
// counted. Guarded by mu.
type Locals struct {
	mu    sync.RWMutex
	names map[netip.Addr]backend.Local
	addrs []netip.Addr
}

// Name returns the name of a, and whether it has one.
func (t *Locals) Name(a netip.Addr) (backend.Local, bool) {
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
	if len(t.addrs) == MaxLocals {
		return 0, false
	}
	if t.names == nil {
		t.names = make(map[netip.Addr]backend.Local)
	}
	t.addrs = append(t.addrs, a)
	name = backend.Local(len(t.addrs))
	t.names[a] = name
	return name, true
}

// Addr returns the address of a name. That of 0 is invalid.
func (t *Locals) Addr(name backend.Local) (a netip.Addr) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if name > 0 {
		a = t.addrs[name-1]
	}
	return a
}

// Len is how many addresses have a name.
func (t *Locals) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.addrs)
}
