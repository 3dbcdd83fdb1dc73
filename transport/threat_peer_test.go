// SPDX-License-Identifier: MIT

package transport

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// Threats by a player: what he says is authentic, and still not to be believed.

// segment is one of KCP, as a peer may forge it.
func segment(conv uint32, cmd, frg byte, sn, una uint32, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, conv)
	b = append(b, cmd, frg, 128, 0)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, sn)
	b = binary.LittleEndian.AppendUint32(b, una)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

const (
	kcpPush = 81
	kcpAck  = 82
	kcpAsk  = 83
)

// T5, T20: who says in an authentic datagram what stock KCP never says is a
// broken or a hostile peer: his link ends, he is told, and nobody else notices.
// What a bad network makes of good datagrams is none of it.
func TestThreatPeerThatForgesItsOwnSegments(t *testing.T) {
	const far = 1 << 20
	for _, c := range []struct {
		name string
		say  func(conv uint32) []byte
		want error // nil: the link lives
	}{
		{"una of what was never sent", func(id uint32) []byte { return segment(id, kcpAsk, 0, 0, far, nil) }, kcp.ErrUnsent},
		{"ack of what was never sent", func(id uint32) []byte { return segment(id, kcpAck, 0, far, 0, nil) }, kcp.ErrUnsent},
		{"more fragments than a window holds", func(id uint32) []byte { return segment(id, kcpPush, 255, 1, 0, beat) }, kcp.ErrFragment},
		{"a push without payload", func(id uint32) []byte { return segment(id, kcpPush, 0, 1, 0, nil) }, kcp.ErrEmpty},
		{"an ack with payload", func(id uint32) []byte { return segment(id, kcpAck, 0, 0, 0, beat) }, kcp.ErrTooLarge},
		{"a push beyond any window", func(id uint32) []byte { return segment(id, kcpPush, 0, far, 0, beat) }, kcp.ErrWindow},
		{"another conversation", func(id uint32) []byte { return segment(id+1, kcpPush, 0, 1, 0, beat) }, kcp.ErrConv},
		{"an unknown command", func(id uint32) []byte { return segment(id, 90, 0, 1, 0, beat) }, kcp.ErrCommand},
		{"a header cut short", func(id uint32) []byte { return segment(id, kcpPush, 0, 1, 0, beat)[:20] }, kcp.ErrShort},
		{"a payload cut short", func(id uint32) []byte { return segment(id, kcpPush, 0, 1, 0, make([]byte, 9))[:30] }, kcp.ErrTruncated},
		{"a good segment before a bad one", func(id uint32) []byte {
			return append(segment(id, kcpAck, 0, 0, 1, nil), segment(id, kcpAsk, 0, 0, far, nil)...)
		}, kcp.ErrUnsent},
		{"a push once more", func(id uint32) []byte { return segment(id, kcpPush, 0, 0, 0, beat) }, nil},
		{"a una that went back", func(id uint32) []byte { return segment(id, kcpAsk, 0, 0, 0, nil) }, nil},
		{"a push outside the window", func(id uint32) []byte { return segment(id, kcpPush, 0, 5000, 0, beat) }, nil},
		{"the fragments that stock clients send", func(id uint32) []byte { return segment(id, kcpPush, 127, 1, 0, beat) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var closed error
			h := &hooks{close: func(_ *Link, err error) { closed = err }}
			l, _ := testLoop(Config{}, h)
			p, other := joinSealed(l, 1), joinSealed(l, 2)
			sent := catcher{}
			l.below = sent
			k := at(l, p)
			l.begin()
			k.Write(frame([]byte("in flight")))
			l.end()
			sent[p.addr] = nil
			l.begin()
			p.plain(l, seal.WhatSealed, append(seal.AppendPayload(nil, nil), c.say(k.conv)...))
			inFlight := k.waiting()
			l.end()
			if inFlight == 0 {
				t.Error("what is in flight was taken as acknowledged")
			}
			if alive := k.state&stateClosed == 0; alive != (c.want == nil) || !errors.Is(closed, c.want) {
				t.Errorf("alive %v, closed with %v, want %v", alive, closed, c.want)
			}
			if n := l.stats.protocol.Load(); (n == 1) != (c.want != nil) {
				t.Errorf("%d protocol errors", n)
			}
			if c.want != nil && !told(p, sent) {
				t.Error("the peer was not told")
			}
			if at(l, other).state&stateClosed != 0 || l.stats.panics.Load() != 0 {
				t.Error("somebody else noticed")
			}
		})
	}
}

// at is the server's side of p.
func at(l *Loop, p *sealedPeer) *Link { return l.sealed.slots.at(p.link.Conn.ID()).k }

// told reports whether p was sent a farewell.
func told(p *sealedPeer, sent catcher) bool {
	for _, b := range sent[p.addr] {
		if o, err := p.link.Conn.Open(b); err == nil {
			if c, err := seal.ParseControl(o.Plain); err == nil && c.Kind == seal.Close {
				return true
			}
		}
	}
	return false
}
