// SPDX-License-Identifier: MIT

package seal

import "time"

const (
	firstRepeat = 200 * time.Millisecond // until a hello is repeated; doubles
	lastRepeat  = 2 * time.Second
	aloneHellos = 2 // how many of the first handshake go out before the next one joins it
)

// Dialing is the handshakes by which a client opens one link, with their times
// (SPEC 3.2): that with the seal key, if there is one, and that with public keys.
// Owned by the caller.
type Dialing struct {
	begin []func() (*Initiator, error)
	tries []*Initiator
	sent  int
	due   time.Duration
}

// NewDialing makes a Dialing that is due at now. begin are the handshakes, the
// cheapest first; each is begun when it is needed.
func NewDialing(now time.Duration, begin ...func() (*Initiator, error)) *Dialing {
	return &Dialing{begin: begin, due: now}
}

// Due returns when Hellos has something to send.
func (d *Dialing) Due() time.Duration { return d.due }

// Hellos returns the datagrams to send, if they are due. They are valid until the
// next call. An error is one of beginning a handshake.
func (d *Dialing) Hellos(now time.Duration) (list [][]byte, err error) {
	if now < d.due {
		return nil, nil
	}
	if len(d.begin) > 0 && (d.sent == 0 || d.sent == aloneHellos) {
		i, err := d.begin[0]()
		if err != nil {
			return nil, err
		}
		d.tries, d.begin = append(d.tries, i), d.begin[1:]
	}
	for _, i := range d.tries {
		list = append(list, i.Repeat())
	}
	d.due = now + min(firstRepeat<<min(d.sent, 8), lastRepeat)
	d.sent++
	return list, nil
}

// Handle takes a datagram from the address that the hellos went to. It returns the
// link once the server has accepted one, or a hello to send at once. What is no
// answer changes nothing.
func (d *Dialing) Handle(b []byte) (link *Accepted, again []byte) {
	for _, i := range d.tries {
		link, ask, err := i.Handle(b)
		switch {
		case link != nil:
			return link, nil
		case err == nil && ask:
			return nil, i.Hello()
		}
	}
	return nil, nil
}
