// SPDX-License-Identifier: MIT

package client

import "sync"

// view is the newest of what the server tells about one thing, and what is called for it.
// Safe to use from any goroutine.
type view[T any] struct {
	mu     sync.Mutex
	newest T
	on     func(T)
}

// take takes what is new, on the delivery goroutine.
func (v *view[T]) take(x T) {
	v.mu.Lock()
	v.newest = x
	f := v.on
	v.mu.Unlock()
	if f != nil {
		f(x)
	}
}

// call sets what is called for what is new.
func (v *view[T]) call(f func(T)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.on = f
}

// get returns the newest.
func (v *view[T]) get() T {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.newest
}
