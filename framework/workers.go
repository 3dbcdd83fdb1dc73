// SPDX-License-Identifier: MIT

package framework

import (
	"sync"

	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
)

// workers runs players on at most most goroutines; the others wait in order.
type workers struct {
	most int

	watch *watchdog.Watchdog

	mu      sync.Mutex
	busy    int
	ready   []*Player
	waiting int                  // players that wait for their share, see acquireShareLocked
	idle    []*watchdog.Activity // of goroutines that have ended
}

func (w *workers) submit(p *Player) {
	w.mu.Lock()
	if !w.acquireShareLocked(p) {
		w.mu.Unlock()
		return
	}
	if w.busy >= w.most {
		w.ready = append(w.ready, p)
		w.mu.Unlock()
		return
	}
	w.busy++
	var d *watchdog.Activity
	if n := len(w.idle); n > 0 {
		d, w.idle = w.idle[n-1], w.idle[:n-1]
	}
	w.mu.Unlock()
	if d == nil {
		d = w.watch.Register(watchdog.Worker, "")
	}
	go w.run(p, d) // ends when no player is ready
}

func (w *workers) run(p *Player, d *watchdog.Activity) {
	done := false
	defer func() {
		if !done { // the game's code ended this goroutine: p goes on in another
			d.End()
			go w.run(p, d)
		}
	}()
	for {
		p.work(nil, d)
		w.mu.Lock()
		w.releaseShareLocked(p)
		if len(w.ready) == 0 {
			w.ready = nil
			w.busy--
			w.idle = append(w.idle, d)
			w.mu.Unlock()
			done = true
			return
		}
		p = w.ready[0]
		w.ready[0] = nil
		w.ready = w.ready[1:]
		w.mu.Unlock()
	}
}

// share is how many of most workers the players of one address may have.
func share(most int) int { return min(most, max(most/4, 16)) }

// acquireShareLocked gives p a place in its share, or has it wait for one.
func (w *workers) acquireShareLocked(p *Player) bool {
	h := p.origin
	if h == nil {
		return true
	}
	if h.taken >= share(w.most) {
		h.ready = append(h.ready, p)
		w.waiting++
		return false
	}
	h.taken++
	return true
}

// releaseShareLocked gives p's place in its share to the next player, which gets in line.
func (w *workers) releaseShareLocked(p *Player) {
	h := p.origin
	if h == nil {
		return
	}
	if len(h.ready) == 0 {
		h.ready = nil
		h.taken--
		return
	}
	w.ready = append(w.ready, h.ready[0])
	h.ready[0] = nil
	h.ready = h.ready[1:]
	w.waiting--
}

// full reports that there is no worker for p: all are busy, or all of its share.
func (w *workers) full(p *Player) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy >= w.most || p.origin != nil && p.origin.taken >= share(w.most)
}
