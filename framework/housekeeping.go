// SPDX-License-Identifier: MIT

package framework

import (
	"runtime"
	"time"
)

// housekeepingEvery is how often the first loop does what no other place does, while
// there are sessions.
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

// returnMemory makes the runtime return what it does not need. It keeps a tenth more
// than the heap had when the last collection began, hence two; and returns the
// rest little by little, where debug.FreeOSMemory would keep a core for it.
func returnMemory() {
	runtime.GC()
	runtime.GC()
}
