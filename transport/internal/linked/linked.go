// SPDX-License-Identifier: MIT

// Package linked is a list in the order of arrival from which anything may be taken
// out at any time.
package linked

// List holds nodes, the first one first. It may be moved. The zero value is empty.
// Owned by its user.
type List[T any] struct {
	first, last *Node[T]
	n           int
}

// Node is a place in one List at most. Value is its user's, and never changed here.
type Node[T any] struct {
	Value      T
	in         bool
	prev, next *Node[T]
}

// Len is how many nodes there are.
func (l *List[T]) Len() int { return l.n }

// First is the node that has been in the list for longest, nil if there is none.
func (l *List[T]) First() *Node[T] { return l.first }

// Push puts n at the end. It must be in no list.
func (l *List[T]) Push(n *Node[T]) {
	n.in, n.prev = true, l.last
	if l.last == nil {
		l.first = n
	} else {
		l.last.next = n
	}
	l.last = n
	l.n++
}

// Remove takes n out of the list that it is in, which l is. A node that is in none may
// be removed again.
func (l *List[T]) Remove(n *Node[T]) {
	if !n.in {
		return
	}
	if n.prev == nil {
		l.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.in, n.prev, n.next = false, nil, nil
	l.n--
}
