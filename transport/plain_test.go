// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
)

// from gives a peer another address.
func (p *peer) from(addr string) *peer {
	p.addr = netip.MustParseAddrPort(addr)
	return p
}

// knock opens a link on l, or tries to.
func (p *peer) knock(l *Loop) {
	p.Write(beat)
	l.begin()
	p.send(l)
	l.end()
}

func TestPlainLinksOfOneAddressAreBounded(t *testing.T) {
	const most = 3
	prove := true
	h := &hooks{unproved: true, packet: func(k *Link, p codec.Packet) {
		if prove {
			k.Prove()
		}
	}}
	l, _ := testLoop(Config{MaxPlainPerAddress: most}, h)
	conv := 0
	peerAt := func(addr string) *peer {
		conv++
		return newPeer(conv).from(addr)
	}
	// Links in somebody's name that nobody has proved do not keep him out.
	prove = false
	for range 2 * most {
		peerAt("192.0.2.1:9").knock(l)
	}
	prove = true
	before := len(l.plain)
	for range 2 * most {
		peerAt("192.0.2.1:9").knock(l)
	}
	if got := len(l.plain) - before; got != most {
		t.Errorf("%d links of one address, want %d", got, most)
	}
	peerAt("192.0.2.2:9").knock(l)
	if got := len(l.plain) - before; got != most+1 {
		t.Error("another address was refused")
	}
	before = len(l.plain)
	for i := range 2 * most { // one subscriber has a /64
		peerAt([]string{"[2001:db8::1]:9", "[2001:db8::2]:9"}[i%2]).knock(l)
		peerAt("127.0.0.1:9").knock(l)
	}
	if got := len(l.plain) - before; got != most+2*most {
		t.Errorf("%d links, want %d of a /64 and %d of the loopback", got, most, 2*most)
	}
	if got := l.t.carriers[PlainKCP].stats().Refused; got != 2*most {
		t.Errorf("%d refusals counted, want %d", got, 2*most)
	}
	// Who leaves makes room, and nothing is left behind.
	l.begin()
	l.closeAll(ErrStopped)
	l.end()
	if len(l.t.plain.links) != 0 || l.t.unproved.Load() != 0 || l.t.links.Load() != 0 {
		t.Errorf("left: %v, %d unproved, %d links", l.t.plain.links, l.t.unproved.Load(), l.t.links.Load())
	}
	peerAt("192.0.2.1:9").knock(l)
	if len(l.plain) != 1 {
		t.Error("no room after all have left")
	}
}

// TestProofBeyondTheBoundCloses: several links of one address may be on their
// way to prove it.
func TestProofBeyondTheBoundCloses(t *testing.T) {
	var open []*Link
	h := &hooks{unproved: true, open: func(k *Link) { open = append(open, k) }}
	l, _ := testLoop(Config{MaxPlainPerAddress: 2}, h)
	for i := range 3 {
		newPeer(i).from("192.0.2.1:9").knock(l)
	}
	l.begin()
	for _, k := range open {
		k.Prove()
		k.Prove()
	}
	l.end()
	if len(h.errs) != 1 || !errors.Is(h.errs[0], ErrCrowded) {
		t.Errorf("closed with %v, want one ErrCrowded", h.errs)
	}
	if len(l.plain) != 2 || l.t.unproved.Load() != 0 {
		t.Errorf("%d links, %d unproved", len(l.plain), l.t.unproved.Load())
	}
}

// TestPlainLinksLeaveRoomForSealedOnes: half of the room where both are served.
func TestPlainLinksLeaveRoomForSealedOnes(t *testing.T) {
	l, _ := testLoop(Config{MaxLinks: 8}, &hooks{})
	for i := range 20 {
		newPeer(i).knock(l)
	}
	if len(l.plain) != 4 {
		t.Errorf("%d plain links, want 4", len(l.plain))
	}
	joinSealed(l, 100)
	if len(linksOf(l)) != 5 {
		t.Error("no room for a sealed link")
	}
	for _, c := range []struct {
		cfg  Config
		want int
	}{
		{Config{}, defaultMaxLinks},
		{Config{KCP: "x"}, defaultMaxLinks / 2},
		{Config{KCP: "x", MaxPlainLinks: 7}, 7},
		{Config{MaxLinks: 9}, 9},
	} {
		if got := c.cfg.maxPlainLinks(); got != c.want {
			t.Errorf("%+v: %d plain links, want %d", c.cfg, got, c.want)
		}
	}
}
