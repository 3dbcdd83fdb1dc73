// SPDX-License-Identifier: MIT

// Package putoff has a lock under which calls of the game's code are put off.
package putoff

import "sync"

// A Mutex calls what was put off under it once it is released: the game's code may want
// the lock. Then is guarded by it.
type Mutex struct {
	mu   sync.Mutex
	then []func()
}

// Lock locks m.
func (m *Mutex) Lock() { m.mu.Lock() }

// Then puts f off. The caller holds m.
func (m *Mutex) Then(f func()) { m.then = append(m.then, f) }

// Unlock releases m, and calls what was put off.
func (m *Mutex) Unlock() {
	then := m.then
	m.then = nil
	m.mu.Unlock()
	for _, f := range then {
		f()
	}
}
