// SPDX-License-Identifier: MIT

// Package tags is the index of what has a tag in common. It knows no player.
package tags

import (
	"slices"
	"sync"
)

// Index finds members by their tags. The zero value is empty. Safe to use from any
// goroutine.
type Index[P comparable] struct {
	mu    sync.Mutex
	byTag map[string]*members[P] // guarded by mu; none is empty
	watch func(tag string, some bool)
}

// members are found by what they are, and listed.
type members[P comparable] struct {
	list  []P
	place map[P]int
}

// Watch calls f, under the lock of the index, whenever a tag gets its first member or loses
// its last, and at once for those that have any.
func (x *Index[P]) Watch(f func(tag string, some bool)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.watch = f
	for tag := range x.byTag {
		f(tag, true)
	}
}

// Add adds p to those with a tag, if admit returns true, which is called under the lock
// of the index. It reports false if p has the tag, or was not admitted.
func (x *Index[P]) Add(tag string, p P, admit func() bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.byTag[tag]
	if m != nil {
		if _, in := m.place[p]; in {
			return false
		}
	}
	if !admit() {
		return false
	}
	if m == nil {
		m = &members[P]{place: map[P]int{}}
		if x.byTag == nil {
			x.byTag = map[string]*members[P]{}
		}
		x.byTag[tag] = m
		if x.watch != nil {
			x.watch(tag, true)
		}
	}
	m.place[p] = len(m.list)
	m.list = append(m.list, p)
	return true
}

// Remove takes p out of those with a tag, and then calls removed under the lock of the
// index. It reports false if p has not the tag.
func (x *Index[P]) Remove(tag string, p P, removed func()) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.removeLocked(tag, p) {
		return false
	}
	removed()
	return true
}

// RemoveAll takes p out of those with each of the tags.
func (x *Index[P]) RemoveAll(tags []string, p P) {
	if len(tags) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, tag := range tags {
		x.removeLocked(tag, p)
	}
}

func (x *Index[P]) removeLocked(tag string, p P) bool {
	m := x.byTag[tag]
	if m == nil {
		return false
	}
	i, in := m.place[p]
	if !in {
		return false
	}
	var none P
	last := len(m.list) - 1
	m.list[i] = m.list[last]
	m.place[m.list[i]] = i
	m.list[last] = none
	m.list = m.list[:last]
	delete(m.place, p)
	if last == 0 {
		delete(x.byTag, tag)
		if x.watch != nil {
			x.watch(tag, false)
		}
	}
	return true
}

// Members returns those with a tag, in no order. The slice is the caller's.
func (x *Index[P]) Members(tag string) []P {
	x.mu.Lock()
	defer x.mu.Unlock()
	if m := x.byTag[tag]; m != nil {
		return slices.Clone(m.list)
	}
	return nil
}

// Len is how many have a tag.
func (x *Index[P]) Len(tag string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if m := x.byTag[tag]; m != nil {
		return len(m.list)
	}
	return 0
}

// Tags is how many tags have a member.
func (x *Index[P]) Tags() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.byTag)
}
