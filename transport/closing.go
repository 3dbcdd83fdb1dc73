// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// maxSpareClosing links have room in a list that is empty.
const maxSpareClosing = 256

// closeSize is the size of a datagram that says that a link is closed.
const closeSize = seal.Overhead + 1

// closingList are sealed links in the closing state: they are closed, and their
// peers are told so by the same datagram several times, spread. Owned by the loop.
// They are in the order of their times, since all wait equally long.
type closingList struct {
	list []closingLink
	head int
}

type closingLink struct {
	to   netip.AddrPort
	at   time.Duration
	left uint8
	from backend.Local
	b    [closeSize]byte
}

// add puts g at the end: its next copy is due at g.at.
func (f *closingList) add(g closingLink) { f.list = append(f.list, g) }

// due returns when the next copy is due.
func (f *closingList) due() time.Duration {
	if f.head == len(f.list) {
		return backend.Never
	}
	return f.list[f.head].at
}

// next takes out the link of which a copy is due, if there is one.
func (f *closingList) next(now time.Duration) (g closingLink, ok bool) {
	if f.due() > now {
		return g, false
	}
	g = f.list[f.head]
	f.head++
	switch {
	case f.head == len(f.list):
		f.list, f.head = f.list[:0], 0
		if cap(f.list) > maxSpareClosing {
			f.list = nil // what a mass event has left behind
		}
	case f.head > len(f.list)/2:
		n := copy(f.list, f.list[f.head:])
		f.list, f.head = f.list[:n], 0
	}
	return g, true
}
