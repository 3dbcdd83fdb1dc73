// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"strings"
	"sync"
)

// Memory is a Bus for servers of one process. The zero value works.
type Memory struct {
	mu sync.Mutex
	// Guarded by mu.
	seq      uint64
	keys     map[string]memoryValue
	watchers map[*memoryWatch]bool
	servers  map[string]*memoryServer
	ears     map[*memoryEar]bool
}

type memoryValue struct {
	value []byte
	rev   uint64
}

type memoryWatch struct {
	bucket string
	wake   bell
	dirty  []string // names that have changed; guarded by Memory.mu
}

type memoryServer struct{ answer func([]byte) []byte }

// Get implements Bus.
func (m *Memory) Get(_ context.Context, key string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.keys[key]
	return at.value, at.rev, nil
}

// Put implements Bus.
func (m *Memory) Put(_ context.Context, key string, value []byte, rev uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys[key].rev != rev {
		return 0, ErrConflict
	}
	if m.keys == nil {
		m.keys = map[string]memoryValue{}
	}
	m.seq++
	m.keys[key] = memoryValue{append([]byte(nil), value...), m.seq}
	bucket, name, _ := strings.Cut(key, "/")
	for w := range m.watchers {
		if w.bucket == bucket {
			w.add(name)
		}
	}
	return m.seq, nil
}

// add notes a change. The caller holds Memory.mu.
func (w *memoryWatch) add(name string) {
	w.dirty = append(w.dirty, name)
	w.wake.ring()
}

// Watch implements Bus.
func (m *Memory) Watch(ctx context.Context, bucket string, changed func(string, []byte, uint64), _ func()) error {
	w := &memoryWatch{bucket: bucket, wake: newBell()}
	m.mu.Lock()
	if m.watchers == nil {
		m.watchers = map[*memoryWatch]bool{}
	}
	m.watchers[w] = true
	for key := range m.keys {
		if name, ok := strings.CutPrefix(key, bucket+"/"); ok {
			w.add(name)
		}
	}
	m.mu.Unlock()
	tell := func() {
		m.mu.Lock()
		names := w.dirty
		w.dirty = nil
		m.mu.Unlock()
		for _, name := range names {
			if value, rev, _ := m.Get(ctx, bucket+"/"+name); len(value) > 0 {
				changed(name, value, rev)
			}
		}
	}
	tell()
	go m.listen(ctx, w.wake, tell, func() { delete(m.watchers, w) })
	return nil
}

// listen tells whenever there is something, and forgets about it, under the lock, when ctx ends.
func (m *Memory) listen(ctx context.Context, wake bell, tell, forget func()) {
	for {
		select {
		case <-wake:
			tell()
		case <-ctx.Done():
			m.mu.Lock()
			forget()
			m.mu.Unlock()
			return
		}
	}
}

// Serve implements Bus.
func (m *Memory) Serve(ctx context.Context, name string, answer func([]byte) []byte) error {
	s := &memoryServer{answer}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.servers == nil {
		m.servers = map[string]*memoryServer{}
	}
	m.servers[name] = s
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.servers[name] == s {
			delete(m.servers, name)
		}
	})
	return nil
}

// Ask implements Bus.
func (m *Memory) Ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	m.mu.Lock()
	s := m.servers[name]
	m.mu.Unlock()
	if s == nil {
		return nil, ErrNoServer
	}
	answered := make(chan []byte, 1)
	go func() { answered <- s.answer(question) }() // ends with the answer
	select {
	case b := <-answered:
		if b == nil {
			return nil, ErrNoAnswer
		}
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// memoryEar hears what is published to a subject.
type memoryEar struct {
	subject string
	wake    bell
	waits   [][]byte // guarded by Memory.mu
}

// maxWaits bounds what waits for one that hears slowly. What comes then is lost to it.
const maxWaits = 1 << 16

// Subscribe implements Bus.
func (m *Memory) Subscribe(ctx context.Context, subject string, heard func([]byte)) error {
	e := &memoryEar{subject: subject, wake: newBell()}
	m.mu.Lock()
	if m.ears == nil {
		m.ears = map[*memoryEar]bool{}
	}
	m.ears[e] = true
	m.mu.Unlock()
	tell := func() {
		m.mu.Lock()
		list := e.waits
		e.waits = nil
		m.mu.Unlock()
		for _, b := range list {
			heard(b)
		}
	}
	go m.listen(ctx, e.wake, tell, func() { delete(m.ears, e) })
	return nil
}

// Publish implements Bus.
func (m *Memory) Publish(subject string, message []byte) error {
	message = append([]byte(nil), message...)
	m.mu.Lock()
	defer m.mu.Unlock()
	for e := range m.ears {
		if e.subject == subject && len(e.waits) < maxWaits {
			e.waits = append(e.waits, message)
			e.wake.ring()
		}
	}
	return nil
}
