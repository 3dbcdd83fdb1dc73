// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

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

// beginClosing tells the peer that its link is closed, unless the peer did not
// acknowledge the last bytes. Such a peer is hardly there any more, and if it is, a
// reset answers what it sends next. When all players come back at once, each of
// their old links is of that kind.
func (l *Loop) beginClosing(k *Link, err error) {
	if errors.Is(err, ErrFinished) && k.waiting() > 0 {
		return
	}
	g := closingLink{to: k.addr, from: k.local, left: seal.CloseCopies}
	b := seal.Control{Kind: seal.ControlClose}.Append(g.b[:seal.HeaderSize], 0)
	if _, err := k.sealed.Seal(b, seal.TypeControl); err != nil {
		return
	}
	l.sendClose(g)
	if l.stopping {
		l.sendClose(g) // the loop ends before it could be spread
	}
}

// repeat sends a copy, and comes back to it for the next one.
func (l *Loop) sendClose(g closingLink) {
	l.sendTo(g.to, g.from, g.b[:])
	g.left--
	if g.left > 0 && !l.stopping {
		g.at = l.now + seal.CloseEvery
		f := &l.sealed.closing
		f.list = append(f.list, g)
	}
}

// due returns when the next copy is due.
func (f *closingList) due() time.Duration {
	if f.head == len(f.list) {
		return Never
	}
	return f.list[f.head].at
}

// sayGoodbye sends the copies that are due.
func (l *Loop) sendDueCloses() {
	f := &l.sealed.closing
	for n := 0; n < maxDue && f.due() <= l.now; n++ {
		g := f.list[f.head]
		f.head++
		l.sendClose(g)
	}
	switch {
	case f.head == len(f.list):
		f.list, f.head = f.list[:0], 0
		if cap(f.list) > maxDue {
			f.list = nil // what a mass event has left behind
		}
	case f.head > len(f.list)/2:
		n := copy(f.list, f.list[f.head:])
		f.list, f.head = f.list[:n], 0
	}
}
