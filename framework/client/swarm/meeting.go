// SPDX-License-Identifier: MIT

package swarm

import "sync"

// meeting is where bots wait for each other: Bot.Together.
type meeting struct {
	mu     sync.Mutex // guards the rest
	bots   int
	met    []int           // how many have arrived a first, a second, ... time
	left   []int           // how many have ended after so many times
	opened []chan struct{} // by time
}

func (m *meeting) init(bots int) { m.bots = bots }

// growLocked makes room for time k, from 0.
func (m *meeting) growLocked(k int) {
	for len(m.opened) <= k {
		m.met, m.left, m.opened = append(m.met, 0), append(m.left, 0), append(m.opened, make(chan struct{}))
	}
}

// arrive notes that a bot has come for the k-th time, and returns what is closed when all have.
func (m *meeting) arrive(k int) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.growLocked(k)
	m.met[k]++
	m.openLocked()
	return m.opened[k]
}

// leave notes that n bots have ended, which came met times and won't again.
func (m *meeting) leave(met, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.growLocked(met)
	m.left[met] += n
	m.openLocked()
}

// openLocked lets everybody go on whose time it is.
func (m *meeting) openLocked() {
	gone := 0
	for k := range m.opened {
		if k > 0 {
			gone += m.left[k-1] // did not come this often
		}
		if k == 0 || m.met[k] == 0 || m.met[k]+gone < m.bots {
			continue
		}
		select {
		case <-m.opened[k]:
		default:
			close(m.opened[k])
		}
	}
}
