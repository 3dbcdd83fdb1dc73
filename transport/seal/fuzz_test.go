// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// FuzzHandshake gives both sides of a handshake anything. Neither may panic,
// answer with more than it got, or agree to what it did not ask for.
func FuzzHandshake(f *testing.F) {
	key, err := NewKey(seeded(1))
	if err != nil {
		f.Fatal(err)
	}
	for _, i := range []*Initiator{newInitiator(f, key.Public(), 3), newResumer(f, [16]byte{9}, 4)} {
		r, _, _ := newServer(f, nil)
		answer, err := r.Handle(0, home, i.Hello())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(i.Hello()[:helloEnd]), true)
		f.Add(bytes.Clone(answer), false)
		r, _, _ = newServer(f, func(c *Config) { c.AlwaysCookie = true })
		cookie, _ := r.Handle(0, home, i.Hello())
		f.Add(bytes.Clone(cookie), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, pad bool) {
		if pad && len(b) < HelloSize {
			b = append(bytes.Clone(b), make([]byte, HelloSize-len(b))...)
		}
		r, key, ids := newServer(t, nil)
		answer, err := r.Handle(0, home, b)
		if len(answer) > len(b) {
			t.Fatalf("%d bytes answer %d", len(answer), len(b))
		}
		if (err == nil) != (answer != nil) || err != nil && len(ids.taken) != 0 {
			t.Fatalf("%v, %d bytes, %d ids", err, len(answer), len(ids.taken))
		}
		_, _ = r.Confirm(0, home, bytes.Clone(b))
		if reset := r.Reset(0, home, b); len(reset) >= max(len(b), 1) {
			t.Fatalf("a reset of %d bytes for %d", len(reset), len(b))
		}
		for _, i := range []*Initiator{newInitiator(t, key.Public(), 3), newResumer(t, [16]byte{9}, 4)} {
			a, _, err := i.Handle(b)
			if a != nil && (err != nil || !a.Conn.Live() || a.Conn.ID() == 0) {
				t.Fatalf("accepted %+v, %v", a, err)
			}
		}
	})
}

// FuzzSealed gives a link anything as a datagram, and anything as a plaintext.
func FuzzSealed(f *testing.F) {
	client, _ := ends()
	f.Add(seal(f, client, "hello"))
	f.Add(append(AppendPayload(nil, []byte("frames")), "segments"...))
	f.Add(Control{Kind: ControlChallenge}.Append(nil, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, server := ends()
		if o, err := server.Open(bytes.Clone(b)); err == nil && len(o.Plain)+Overhead != len(b) {
			t.Fatalf("%d bytes of %d", len(o.Plain), len(b))
		}
		if frames, segments, err := SplitPayload(b); err == nil {
			if again := append(AppendPayload(nil, frames), segments...); !bytes.Equal(again, b) {
				t.Fatalf("%x is written as %x", b, again)
			}
		}
		if c, err := ParseControl(b); err == nil {
			if again, err := ParseControl(c.Append(nil, len(b))); err != nil || again != c {
				t.Fatalf("%v is read as %v, %v", c, again, err)
			}
		}
		if len(b) > MaxDatagram {
			return
		}
		client, server := ends()
		sealed := seal(t, client, string(b))
		o, err := server.Open(sealed)
		if err != nil || !bytes.Equal(o.Plain, b) {
			t.Fatalf("sealed %x, opened %x, %v", b, o.Plain, err)
		}
		var d ResetDetector
		d.Sent(sealed)
		_, _ = d.Reset(0, b)
	})
}

// FuzzConversation lets an attacker do what he likes with every datagram of a
// whole conversation, by script: hold it, repeat it, change it, send it from
// elsewhere. Whatever is delivered was sent, once, to this end, and both ends
// of a link are ends of the same.
func FuzzConversation(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0, 3, 4, 0, 5, 6, 7})
	f.Add([]byte{8, 9, 0, 10, 11, 0, 12, 200, 13, 14, 40, 41, 42, 250, 251})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 400 {
			return
		}
		newTalk(t, len(script)%2 == 0).run(script)
	})
}

// talk is a conversation with everything on the wire in the attacker's hands.
type talk struct {
	t         *testing.T
	now       time.Duration
	r         *Responder
	i         *Initiator
	accepted  *Accepted
	confirmed *Confirmed
	addr      byte // of the client, as the server sees it
	paths     Paths
	up, down  [][]byte
	sent      [2]map[string]bool // by direction, what was not delivered yet
	n         int
}

func newTalk(t *testing.T, resume bool) *talk {
	r, key, _ := newServer(t, func(c *Config) { c.AlwaysCookie = !resume })
	k := &talk{t: t, r: r, sent: [2]map[string]bool{{}, {}}}
	if resume {
		k.i = newResumer(t, [16]byte{9}, 4)
	} else {
		k.i = newInitiator(t, key.Public(), 3)
	}
	return k
}

func (k *talk) run(script []byte) {
	for pc := 0; pc < len(script); pc++ {
		op, arg := script[pc]%8, script[pc]/8
		k.now += time.Duration(arg) * 10 * time.Millisecond
		switch op {
		case 0:
			k.say(0)
		case 1:
			k.say(1)
		case 2, 3:
			if len(k.up) > 0 {
				k.atServer(bytes.Clone(k.up[int(arg)%len(k.up)]), 0)
			}
		case 4:
			if len(k.up) > 0 {
				k.atServer(bytes.Clone(k.up[len(k.up)-1]), 1+arg%5)
			}
		case 5:
			if len(k.down) > 0 {
				k.atClient(bytes.Clone(k.down[int(arg)%len(k.down)]))
			}
		case 6:
			if len(k.up) > 0 {
				b := bytes.Clone(k.up[len(k.up)-1])
				b[int(arg)*7%len(b)] ^= 1 << (arg % 8)
				k.atServer(b, 0)
			}
		case 7:
			if len(k.down) > 0 {
				b := bytes.Clone(k.down[len(k.down)-1])
				b[int(arg)*5%len(b)] ^= 1 << (arg % 8)
				k.atClient(b)
			}
		}
	}
}

// say lets one end write something new.
func (k *talk) say(end int) {
	if end == 0 && k.accepted == nil {
		k.up = append(k.up, bytes.Clone(k.i.Hello()))
		return
	}
	if end == 1 && k.confirmed == nil {
		return
	}
	k.n++
	text := fmt.Sprint("message ", k.n)
	k.sent[end][text] = true
	if end == 0 {
		k.up = append(k.up, seal(k.t, &k.accepted.Conn, text))
	} else {
		k.down = append(k.down, seal(k.t, &k.confirmed.Conn, text))
	}
}

func (k *talk) control(c *Conn, m Control) []byte {
	b, err := c.Seal(m.Append(make([]byte, HeaderSize, 64), 0), TypeControl)
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

func (k *talk) deliver(end int, o Opened) {
	if !k.sent[end][string(o.Plain)] {
		k.t.Fatalf("delivered %q, which was not sent, or was delivered before", o.Plain)
	}
	delete(k.sent[end], string(o.Plain))
}

func (k *talk) atServer(b []byte, place byte) {
	from := at(uint16(place))
	id, t, ok := Parse(b)
	switch {
	case !ok:
		return
	case id == 0:
		answer, _ := k.r.Handle(k.now, from, b)
		if len(answer) > len(b) {
			k.t.Fatal("an answer longer than what it answers")
		}
		if answer != nil {
			k.down = append(k.down, bytes.Clone(answer))
		}
	case k.confirmed != nil && id == k.confirmed.Conn.ID():
		k.linkInput(b, t, place)
	default:
		c, err := k.r.Confirm(k.now, from, b)
		if err != nil {
			return
		}
		if k.confirmed != nil {
			k.t.Fatal("one handshake made two links that the client speaks on")
		}
		k.confirmed, k.addr = &c, place
		if k.accepted == nil || c.Nonce != k.accepted.Nonce {
			k.t.Fatal("the ends of a link differ")
		}
		k.deliver(0, c.First)
	}
}

func (k *talk) linkInput(b []byte, t PacketType, place byte) {
	size := len(b)
	o, err := k.confirmed.Conn.Open(b)
	if err != nil {
		return
	}
	if t == TypeControl {
		m, err := ParseControl(o.Plain)
		if err != nil || m.Kind != ControlResponse {
			k.t.Fatalf("control %v, %v", m, err)
		}
		if k.paths.Validate(k.now, at(uint16(place)), m.Token) {
			k.addr = place
		}
		return
	}
	k.deliver(0, o)
	if place == k.addr {
		k.paths.ReceivedActive()
	} else if token, ask := k.paths.Received(k.now, at(uint16(place)), size, o.Newest, seeded(5)); ask {
		k.down = append(k.down, k.control(&k.confirmed.Conn, Control{ControlChallenge, token}))
	}
}

func (k *talk) atClient(b []byte) {
	id, t, ok := Parse(b)
	switch {
	case !ok:
	case id == 0:
		a, again, _ := k.i.Handle(b)
		if again {
			k.up = append(k.up, bytes.Clone(k.i.Hello()))
		}
		if a != nil && k.accepted == nil {
			k.accepted = a
		}
	case k.accepted != nil && id == k.accepted.Conn.ID():
		o, err := k.accepted.Conn.Open(b)
		if err != nil {
			return
		}
		if t == TypeControl {
			m, err := ParseControl(o.Plain)
			if err != nil || m.Kind != ControlChallenge {
				k.t.Fatalf("control %v, %v", m, err)
			}
			k.up = append(k.up, k.control(&k.accepted.Conn, Control{ControlResponse, m.Token}))
			return
		}
		k.deliver(1, o)
	}
}
