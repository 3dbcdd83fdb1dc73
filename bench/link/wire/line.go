// SPDX-License-Identifier: MIT

// Package wire sends real packets through a path.Path: those of a UDP proxy
// everywhere, and on Linux all IP packets between two addresses of a network
// namespace of its own.
package wire

import (
	"container/heap"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/bench/link/path"
)

// line is one direction with its packets on the way.
type line struct {
	start time.Time
	wake  chan struct{} // 1 deep: there is an earlier packet, or the end

	mu sync.Mutex
	// Guarded by mu.
	p     *path.Path
	queue packets
	n     uint64 // packets ever queued: order among equals
	over  bool
}

func newLine(cfg path.Config) *line {
	return &line{start: time.Now(), wake: make(chan struct{}, 1), p: path.New(cfg)}
}

// set changes what happens to packets from now on.
func (l *line) set(cfg path.Config) {
	l.mu.Lock()
	l.p = path.New(cfg)
	l.mu.Unlock()
}

// send takes a packet, which it copies, and what to do when it comes out.
func (l *line) send(b []byte, deliver func([]byte)) {
	l.mu.Lock()
	var c []byte
	for _, at := range l.p.Take(time.Since(l.start), len(b)) {
		if c == nil {
			c = append(c, b...)
		}
		l.n++
		heap.Push(&l.queue, packet{at, l.n, c, deliver})
	}
	l.mu.Unlock()
	l.ring()
}

func (l *line) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *line) close() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.ring()
}

// run delivers packets when their time has come, until close.
func (l *line) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.mu.Lock()
		if l.over {
			l.mu.Unlock()
			return
		}
		wait := time.Hour
		for len(l.queue) > 0 {
			if wait = l.queue[0].at - time.Since(l.start); wait > 0 {
				break
			}
			p := heap.Pop(&l.queue).(packet)
			l.mu.Unlock()
			p.deliver(p.b)
			l.mu.Lock()
			wait = time.Hour
		}
		l.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		}
	}
}

type packet struct {
	at      time.Duration
	n       uint64
	b       []byte
	deliver func([]byte)
}

// packets is a heap by time.
type packets []packet

func (q packets) Len() int { return len(q) }
func (q packets) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n
}
func (q packets) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *packets) Push(x any) { *q = append(*q, x.(packet)) }

// Pop implements heap.Interface.
func (q *packets) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = packet{}
	*q = old[:len(old)-1]
	return p
}
