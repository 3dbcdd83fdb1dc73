// SPDX-License-Identifier: MIT

package framework

import (
	"runtime"
	"time"
)

// housekeepingEvery is how often the first loop of the server does what no other place
// does, while there are sessions.
const housekeepingEvery = 5 * time.Second

// housekeeping forgets logins that are over, and returns memory after a login storm.
func (l *loop) housekeeping(now time.Duration) {
	if l.t.Index() != 0 || now < l.housekeepingAt {
		return
	}
	l.housekeepingAt = now + housekeepingEvery
	s := l.srv
	s.mu.Lock()
	s.table.Sweep(now)
	living := s.table.Len()
	s.mu.Unlock()
	if l.storm.ended(s.count.opened.Load()+s.count.resumed.Load(), living) && !s.cfg.KeepMemory {
		go s.returnMemory() // a collection, which ends
	}
}

// loginStorm finds out when one is over: logins and returns that were many beside
// those who are there, and of which hardly any come now. Each leaves some ten
// kilobytes of garbage behind, so that Go's heap has grown to twice of what
// lives by then, and would stay so for minutes. Owned by the first loop.
type loginStorm struct {
	seen uint64 // of all logins and returns
	size uint64 // of the storm: a sixteenth is forgotten at each look
}

// minRush many make a storm.
const minStorm = 10_000

// ended looks, every housekeepingEvery, and reports once for each storm that it has ended.
func (r *loginStorm) ended(total uint64, living int) bool {
	came := total - r.seen
	r.seen = total
	r.size += came - r.size/16
	if r.size < minStorm || r.size < uint64(living)/8 || came > r.size/100 {
		return false
	}
	r.size = 0
	return true
}

// returnMemory makes the runtime return what it does not need. It keeps a tenth more
// than the heap had when the last collection began, hence two; and returns the
// rest little by little, where debug.FreeOSMemory would keep a core for it.
func returnMemory() {
	runtime.GC()
	runtime.GC()
}
