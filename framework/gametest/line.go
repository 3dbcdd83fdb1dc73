// SPDX-License-Identifier: MIT

package gametest

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// line is the way of one server to the directory and to the other servers of its cluster: a
// bus that can be cut. Its methods are safe to call from any goroutine.
type line struct {
	bus  *cluster.Memory
	node uint16
	// late is how long it takes. It differs between servers, as the delay does between
	// players.
	late time.Duration

	mu sync.Mutex
	// Guarded by mu.
	down    bool
	dead    bool
	apart   map[uint16]bool // servers that it does not reach
	watches []*watch
	freeze  func(frozen bool)
}

var errCut = errors.New("gametest: the server is cut off")

func newLine(bus *cluster.Memory, node uint16) *line {
	return &line{bus: bus, node: node, late: 500*time.Microsecond + time.Duration(node)*7*time.Microsecond, apart: map[uint16]bool{}}
}

// OnFreeze makes kill known to the cluster.
func (l *line) OnFreeze(f func(frozen bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.freeze = f
}

// kill cuts the line, and its server does nothing any more.
func (l *line) kill() {
	l.mu.Lock()
	l.down, l.dead = true, true
	freeze := l.freeze
	l.mu.Unlock()
	freeze(true)
}

// revive ends kill, so that the server can end.
func (l *line) revive() {
	l.mu.Lock()
	l.dead = false
	clear(l.apart)
	freeze := l.freeze
	l.mu.Unlock()
	l.heal()
	freeze(false)
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
}

// part cuts the line to one server, and join ends that.
func (l *line) part(node uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apart[node] = true
}

func (l *line) join(node uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.apart, node)
}

// heal ends cut and part.
func (l *line) heal() {
	l.mu.Lock()
	was := l.down && !l.dead
	if was {
		l.down = false
	}
	clear(l.apart)
	watches := slices.Clone(l.watches)
	l.mu.Unlock()
	if was {
		for _, w := range watches {
			w.again(l.bus)
		}
	}
}

// cutFrom reports whether the line is cut, or does not reach a server. 0 is the directory.
func (l *line) cutFrom(node uint16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down || l.apart[node]
}

// pass waits until something has passed the line, and fails if it is cut.
func (l *line) pass(ctx context.Context, node uint16) error {
	time.Sleep(l.late)
	if l.cutFrom(node) {
		<-ctx.Done()
		return errCut
	}
	return ctx.Err()
}

// Get implements cluster.Bus, as all that follow.
func (l *line) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := l.pass(ctx, 0); err != nil {
		return nil, 0, err
	}
	b, rev, err := l.bus.Get(ctx, key)
	return b, rev, errors.Join(err, l.pass(ctx, 0))
}

func (l *line) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	if err := l.pass(ctx, 0); err != nil {
		return 0, err
	}
	next, err := l.bus.Put(ctx, key, value, rev)
	return next, errors.Join(err, l.pass(ctx, 0))
}

func (l *line) Ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	// The name begins with the server's number.
	first, _, _ := strings.Cut(name, ".")
	node, _ := strconv.ParseUint(first, 10, 16)
	if err := l.pass(ctx, uint16(node)); err != nil {
		return nil, err
	}
	b, err := l.bus.Ask(ctx, name, question)
	return b, errors.Join(err, l.pass(ctx, uint16(node)))
}

func (l *line) Serve(ctx context.Context, name string, answer func([]byte) []byte) error {
	return l.bus.Serve(ctx, name, func(question []byte) []byte {
		if l.cutFrom(0) {
			<-ctx.Done() // its asker waits
			return nil
		}
		b := answer(question)
		if l.cutFrom(0) {
			return nil
		}
		return b
	})
}

// A message has the number of its sender before it.

func (l *line) Publish(subject string, message []byte) error {
	if l.cutFrom(0) {
		return nil // it is lost
	}
	return l.bus.Publish(subject, append(binary.BigEndian.AppendUint16(nil, l.node), message...))
}

func (l *line) Subscribe(ctx context.Context, subject string, heard func([]byte)) error {
	return l.bus.Subscribe(ctx, subject, func(message []byte) {
		if !l.cutFrom(binary.BigEndian.Uint16(message)) {
			heard(message[2:])
		}
	})
}

func (l *line) Watch(ctx context.Context, bucket string, changed func(string, []byte, uint64), blind func()) error {
	w := &watch{ctx: ctx, bucket: bucket, changed: changed, blind: blind, names: map[string]bool{}}
	l.mu.Lock()
	l.watches = append(l.watches, w)
	l.mu.Unlock()
	return l.bus.Watch(ctx, bucket, func(name string, value []byte, rev uint64) { w.tell(name, value, rev, l.cutFrom(0)) }, blind)
}

// watch is a Watch of a line, which misses what happens while that is cut.
type watch struct {
	ctx     context.Context
	bucket  string
	changed func(name string, value []byte, rev uint64)
	blind   func()

	mu    sync.Mutex      // held while changed is called
	names map[string]bool // that have ever had a value; guarded by mu
}

func (w *watch) tell(name string, value []byte, rev uint64, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[name] = true
	if !cut {
		w.changed(name, value, rev)
	}
}

// again tells all that is there, as a line was cut for a time.
func (w *watch) again(bus *cluster.Memory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return
	}
	w.blind()
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if value, rev, _ := bus.Get(w.ctx, w.bucket+"/"+name); len(value) > 0 {
			w.changed(name, value, rev)
		}
	}
}
