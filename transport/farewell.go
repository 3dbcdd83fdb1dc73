// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/seal"
)

// closeSize is the size of a datagram that says that a link is closed.
const closeSize = seal.Overhead + 1

// farewells are links that were closed and whose peers are being told so: the
// same datagram several times, spread. Owned by the loop. They are in the order
// of their times, since all wait equally long.
type farewells struct {
	list []goodbye
	head int
}

type goodbye struct {
	to   netip.AddrPort
	at   time.Duration
	left uint8
	b    [closeSize]byte
}

// farewell tells the peer of a closed link, unless it did not hear the last
// words: it is hardly there any more, and if it is, a reset answers what it
// sends next. When all players come back at once, each of their old links is of
// that kind.
func (l *Loop) farewell(k *Link, err error) {
	if errors.Is(err, ErrFinished) && k.waiting() > 0 {
		return
	}
	g := goodbye{to: k.addr, left: seal.CloseCopies}
	b := seal.Control{Kind: seal.ControlClose}.Append(g.b[:seal.HeaderSize], 0)
	if _, err := k.sealed.Seal(b, seal.TypeControl); err != nil {
		return
	}
	l.repeat(g)
	if l.stopping {
		l.repeat(g) // the loop ends before it could be spread
	}
}

// repeat sends a copy, and comes back to it for the next one.
func (l *Loop) repeat(g goodbye) {
	l.sendTo(g.to, g.b[:])
	g.left--
	if g.left > 0 && !l.stopping {
		g.at = l.now + seal.CloseEvery
		f := &l.sealed.farewells
		f.list = append(f.list, g)
	}
}

// due returns when the next copy is due.
func (f *farewells) due() time.Duration {
	if f.head == len(f.list) {
		return Never
	}
	return f.list[f.head].at
}

// sayGoodbye sends the copies that are due.
func (l *Loop) sayGoodbye() {
	f := &l.sealed.farewells
	for n := 0; n < maxDue && f.due() <= l.now; n++ {
		g := f.list[f.head]
		f.head++
		l.repeat(g)
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
