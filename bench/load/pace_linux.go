// SPDX-License-Identifier: MIT

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// pace sends the requests whose time has come: one player after the other, at
// even distances. Those that come late, because we do, count from their time.
func (f *Fleet) pace() {
	if !f.busy || f.cfg.Rate == 0 {
		return
	}
	gap := time.Duration(float64(time.Second) / f.cfg.Rate)
	for n := 0; f.asking <= f.now; n++ {
		if n == maxPaced { // answers have their turn, too
			return
		}
		p := &f.players[f.turnOf]
		f.turnOf = (f.turnOf + 1) % len(f.players)
		if p.state == isOpen || p.state == isAway {
			f.clock() // those before took a while
			f.ask(p, f.asking)
			f.flush(p)
		}
		f.asking += gap
	}
}

// maxPaced bounds the requests that are sent before anything is received.
const maxPaced = 256

// SetRate changes the rate of an open loop from now on.
func (f *Fleet) SetRate(rate float64) {
	f.clock()
	f.cfg.Rate, f.asking = rate, f.now
}

// grow doubles the memory for requests on the way.
func (f *Fleet) grow(p *player) {
	requests := make([]request, 2*len(p.requests))
	for n := p.answered; n < p.asked; n++ {
		requests[n%uint64(len(requests))] = *f.request(p, n)
	}
	p.requests = requests
}

// message takes one that the server sent by itself: [number, when it was sent].
// Numbers are those of the player's messages, one after the other.
func (f *Fleet) message(p *player, body []byte) {
	route, payload, err := codec.ParseMessage(body)
	name := string(route.Name())
	if names := p.session.Routes(); route.IsNumber() && int(route.Number()) < len(names) {
		name = names[route.Number()]
	}
	if strings.HasPrefix(name, "room.") || name == "beat" {
		f.told(p, name, payload)
		return
	}
	var m Push
	if err == nil {
		err = codec.DecodeBody(payload, &m)
	}
	if err != nil {
		f.wrong(p, err)
		return
	}
	f.pushed(p, m)
}

// pushed takes a message of the server's own.
func (f *Fleet) pushed(p *player, m Push) {
	if p.pushed != 0 && m.Number != p.pushed+1 {
		f.wrong(p, fmt.Errorf("message %d after %d", m.Number, p.pushed))
		if p.session != nil {
			return // what is missing was promised, and still counts as lost at the end
		}
	}
	p.pushed = m.Number
	f.pushes.Add(f.now - (time.Duration(m.At) - f.began))
	if f.toldOf != nil {
		f.toldOf(p.index, m.Number)
	}
}

// barePushes takes a part of the stream of messages without a session layer. The user that
// they are for stands in them: it need not be the player that the stream is of.
func (f *Fleet) barePushes(p *player, b []byte) {
	head, size := f.cfg.Dialect.Push, len(f.cfg.Dialect.Push)+f.cfg.Size
	p.part = append(p.part, b...)
	b = p.part
	for ; len(b) >= size; b = b[size:] {
		body := b[len(head):size]
		n := binary.LittleEndian.Uint64(body)
		if !bytes.HasPrefix(b, head) || int(n&maxIndex) >= len(f.players) {
			f.lose(p, errors.New("load: no message"))
			return
		}
		f.pushed(&f.players[n&maxIndex], Push{Number: n >> 24, At: int64(binary.LittleEndian.Uint64(body[8:]))})
	}
	p.part = append(p.part[:0], b...)
}

// AppendBarePush appends a message to a user without a session layer.
func AppendBarePush(b []byte, user int, m Push) []byte {
	b = binary.LittleEndian.AppendUint64(b, m.Number<<24|uint64(user))
	return append(binary.LittleEndian.AppendUint64(b, uint64(m.At)), m.Rest...)
}

// Push is what the server sends by itself.
type Push struct {
	Number uint64
	At     int64 // by proc.Monotonic, which all processes share
	Rest   []byte
}
