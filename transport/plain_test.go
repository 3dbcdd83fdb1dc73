// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// from gives a peer another address.
func (p *peer) from(addr string) *peer {
	p.addr = netip.MustParseAddrPort(addr)
	return p
}

// open opens a link on l, or tries to.
func (p *peer) open(l *Loop) {
	p.Write(beat)
	l.begin()
	p.send(l)
	l.end()
}

func TestPlainLinksOfOneAddressAreBounded(t *testing.T) {
	const most = 3
	validate := true
	h := &hooks{unvalidated: true, packet: func(k *Link, p codec.Packet) {
		if validate {
			k.ValidateAddress()
		}
	}}
	l, _ := testLoop(Config{MaxPlainPerAddress: most}, h)
	conv := 0
	peerAt := func(addr string) *peer {
		conv++
		return newPeer(conv).from(addr)
	}
	// Links in a player's name that are not validated do not keep it out.
	validate = false
	for range 2 * most {
		peerAt("192.0.2.1:9").open(l)
	}
	validate = true
	before := len(plainOf(l).table)
	for range 2 * most {
		peerAt("192.0.2.1:9").open(l)
	}
	if got := len(plainOf(l).table) - before; got != most {
		t.Errorf("%d links of one address, want %d", got, most)
	}
	peerAt("192.0.2.2:9").open(l)
	if got := len(plainOf(l).table) - before; got != most+1 {
		t.Error("another address was refused")
	}
	before = len(plainOf(l).table)
	for i := range 2 * most { // one subscriber has a /64
		peerAt([]string{"[2001:db8::1]:9", "[2001:db8::2]:9"}[i%2]).open(l)
		peerAt("127.0.0.1:9").open(l)
	}
	if got := len(plainOf(l).table) - before; got != most+2*most {
		t.Errorf("%d links, want %d of a /64 and %d of the loopback", got, most, 2*most)
	}
	if got := l.t.admission.carriers[PlainKCP].stats().TooManyLinks; got != 2*most {
		t.Errorf("%d refusals counted, want %d", got, 2*most)
	}
	// A link that ends makes room, and nothing is left behind.
	l.begin()
	l.closeAll(ErrStopped)
	l.end()
	if len(l.t.admission.plain.links) != 0 || plainOf(l).unvalidated.Len() != 0 || l.t.admission.links.Load() != 0 {
		t.Errorf("left: %v, %d unvalidated, %d links", l.t.admission.plain.links, plainOf(l).unvalidated.Len(), l.t.admission.links.Load())
	}
	peerAt("192.0.2.1:9").open(l)
	if len(plainOf(l).table) != 1 {
		t.Error("no room after all have left")
	}
}

// TestProofBeyondTheBoundCloses: several links of one address may be on their
// way to prove it.
func TestProofBeyondTheBoundCloses(t *testing.T) {
	var open []*Link
	h := &hooks{unvalidated: true, open: func(k *Link) { open = append(open, k) }}
	l, _ := testLoop(Config{MaxPlainPerAddress: 2}, h)
	for i := range 3 {
		newPeer(i).from("192.0.2.1:9").open(l)
	}
	l.begin()
	for _, k := range open {
		k.ValidateAddress()
		k.ValidateAddress()
	}
	l.end()
	if len(h.errs) != 1 || !errors.Is(h.errs[0], ErrTooManyLinks) {
		t.Errorf("closed with %v, want one ErrTooManyLinks", h.errs)
	}
	if len(plainOf(l).table) != 2 || plainOf(l).unvalidated.Len() != 0 {
		t.Errorf("%d links, %d unvalidated", len(plainOf(l).table), plainOf(l).unvalidated.Len())
	}
}

// TestPlainLinksLeaveRoomForSealedOnes: half of the room where both are served.
func TestPlainLinksLeaveRoomForSealedOnes(t *testing.T) {
	l, _ := testLoop(Config{MaxLinks: 8}, &hooks{})
	for i := range 20 {
		newPeer(i).open(l)
	}
	if len(plainOf(l).table) != 4 {
		t.Errorf("%d plain links, want 4", len(plainOf(l).table))
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

// TestFloodOfFirstDatagramsKeepsNobodyOut is 19,000 first datagrams a second from
// everywhere, and half as many again from one network: all who log in meanwhile
// do, as fast as they speak.
func TestFloodOfFirstDatagramsKeepsNobodyOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hooks{unvalidated: true, packet: func(k *Link, p codec.Packet) {
			if p.Kind != codec.Heartbeat {
				k.ValidateAddress()
			}
		}}
		l, _ := testLoop(Config{MaxPlainLinks: 10_000}, h)
		flood := newPeer(1 << 20)
		flood.Write(beat)
		first := flood.Output(0, nil, sendMTU)
		came := 0
		var waiting []*peer
		for ms := range 2000 {
			l.begin()
			for i := range 28 {
				n := ms*28 + i
				from := netip.AddrFrom4([4]byte{byte(20 + n%90), byte(n >> 16), byte(n >> 8), byte(n)})
				if i >= 19 {
					from = netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
				}
				plainOf(l).datagram(path{addr: netip.AddrPortFrom(from, uint16(n)|1)}, first)
			}
			if ms%10 == 0 {
				p := newPeer(ms).from(fmt.Sprintf("10.%d.%d.1:9", ms>>8, ms&0xff))
				p.Write(beat)
				p.send(l)
				waiting = append(waiting, p)
			}
			if len(waiting) > 10 { // a round trip of 100 ms
				p := waiting[0]
				waiting = waiting[1:]
				proved := l.t.admission.plain.links
				before := len(proved)
				p.Write(frame([]byte("ticket")))
				p.send(l)
				came += len(proved) - before
			}
			l.end()
			time.Sleep(time.Millisecond)
		}
		if came != 190 {
			t.Errorf("%d of 190 players came in", came)
		}
		if n := plainOf(l).unvalidated.Len(); n != 5000 || len(plainOf(l).unvalidatedEntry) != n || len(plainOf(l).table) > n+200 {
			t.Errorf("%d links of strangers, %d in all", n, len(plainOf(l).table))
		}
		if s := l.t.stats(); s.LinksEvicted == 0 || s.Carriers["plain-kcp"].TooManyLinks != 0 {
			t.Errorf("%d evicted, %+v", s.LinksEvicted, s.Carriers["plain-kcp"])
		}
	})
}

// TestEvictedLinkMayComeAgain under the same name: no side has closed it.
func TestEvictedLinkMayComeAgain(t *testing.T) {
	l, _ := testLoop(Config{MaxPlainLinks: 2}, &hooks{unvalidated: true})
	early := newPeer(1).from("192.0.2.1:9")
	early.open(l)
	newPeer(2).from("192.0.2.1:9").open(l)
	again := newPeer(1).from("192.0.2.1:9")
	again.open(l)
	if plainOf(l).table[plainOf(l).hash(keyOf(again.addr, 1))] == nil || len(plainOf(l).table) != 1 {
		t.Errorf("%d links, and not the latest", len(plainOf(l).table))
	}
}

// TestLinkThatIsRefusedEvictsNone: an address that has enough of them takes no place from
// others with those that it asks for in vain.
func TestLinkThatIsRefusedEvictsNone(t *testing.T) {
	waits := netip.MustParseAddr("198.51.100.1")
	h := &hooks{unvalidated: true, packet: func(k *Link, p codec.Packet) {
		if k.RemoteAddr().Addr() != waits {
			k.ValidateAddress()
		}
	}}
	l, _ := testLoop(Config{MaxPlainLinks: 4, MaxPlainPerAddress: 1}, h)
	for i := range 3 {
		newPeer(i).from(fmt.Sprintf("192.0.2.%d:9", i)).open(l)
	}
	newPeer(3).from("198.51.100.1:9").open(l)
	for i := range 3 {
		newPeer(4 + i).from("192.0.2.1:9").open(l)
	}
	if len(h.errs) != 0 || len(plainOf(l).table) != 4 {
		t.Errorf("%d links, closed with %v", len(plainOf(l).table), h.errs)
	}
}

// TestStrangersMakeRoomOnAFullServer, also where it is MaxLinks that is reached and
// they are fewer than they may be.
func TestStrangersMakeRoomOnAFullServer(t *testing.T) {
	h := &hooks{unvalidated: true, packet: func(k *Link, p codec.Packet) {
		if k.RemoteAddr().Addr().As4()[0] == 10 {
			k.ValidateAddress()
		}
	}}
	l, _ := testLoop(Config{MaxLinks: 8, MaxPlainLinks: 8}, h)
	for i := range 5 {
		newPeer(i).open(l)
	}
	for i := range 3 {
		newPeer(5 + i).from(fmt.Sprintf("192.0.2.%d:9", i)).open(l)
	}
	for i := range 5 {
		newPeer(8 + i).open(l)
	}
	if n, a := len(plainOf(l).table), &l.t.admission; n != 8 || plainOf(l).unvalidated.Len() != 0 || a.links.Load() != 8 || len(a.plain.links) != 8 {
		t.Errorf("%d links, %d counted, %d players, closed with %v", n, a.links.Load(), len(a.plain.links), h.errs)
	}
	if got := l.t.admission.carriers[PlainKCP].stats().TooManyLinks; got != 2 {
		t.Errorf("%d refusals counted, want 2", got)
	}
}

// TestPlainOpeningsOfOneAddressAreLimited like those of every other carrier, once
// the address is proved.
func TestPlainOpeningsOfOneAddressAreLimited(t *testing.T) {
	l, _ := testLoop(Config{OpensPerAddress: 2}, &hooks{})
	for i := range 100 {
		newPeer(i).from("192.0.2.1:9").open(l)
		l.begin()
		l.closeAll(nil)
		l.end()
	}
	newPeer(1000).from("192.0.2.2:9").open(l)
	s := l.t.stats().Carriers["plain-kcp"]
	if s.AddressLimited < 70 || s.AddressLimited > 80 || s.Open != 1 {
		t.Errorf("%+v, want some 80 of 100 refused and another address served", s)
	}
	for key, o := range l.t.admission.addrs.networks {
		if o.links > 1 {
			t.Errorf("%v counts %d links", key, o.links)
		}
	}
}

// SPEC 3.8: a datagram of a link that is none is answered by a reset, which is shorter, and
// not without bound. What may open a link, names none or is a reset itself gets none.
func TestUnknownPlainLinkIsReset(t *testing.T) {
	l, _ := testLoop(Config{}, &hooks{})
	sent := catcher{}
	l.below = sent
	from := netip.MustParseAddrPort("192.0.2.1:9")
	say := func(from netip.AddrPort, b []byte, times int) [][]byte {
		clear(sent)
		l.begin()
		for range times {
			plainOf(l).datagram(path{addr: from}, b)
		}
		l.end()
		return sent[from]
	}
	late := segment(7, kcpPush, 0, 3, 0, []byte("of a link before the restart"))
	reset := append([]byte{7, 0, 0, 0, 0x1f, 1, 0, 0}, late[len(late)-8:]...)
	if got := say(from, late, 1); len(got) != 1 || !bytes.Equal(got[0], reset) {
		t.Errorf("answered with %x, want %x", got, reset)
	}
	for what, b := range map[string][]byte{
		"a reset": reset, "conversation 0": segment(0, kcpPush, 0, 3, 0, beat), "an unknown command": segment(7, 90, 0, 3, 0, beat), "half a header": late[:20],
	} {
		if got := say(from, b, 1); len(got) != 0 {
			t.Errorf("%s is answered with %x", what, got)
		}
	}
	first := segment(8, kcpPush, 0, 0, 0, beat)
	if got := say(from, first, 1); len(plainOf(l).table) != 1 || len(got) > 1 || len(got) == 1 && got[0][4] == 0x1f {
		t.Errorf("a first datagram is answered with %x; %d links", got, len(plainOf(l).table))
	}
	l.begin()
	l.closeAll(ErrStopped)
	l.end()
	if got := say(from, first, 1); len(got) != 1 || got[0][4] != 0x1f {
		t.Errorf("a link that was closed is answered with %x", got)
	}
	// Of 5,000 a second one network gets a quarter.
	l.now += time.Minute
	if got := len(say(from, late, 3000)); got < 1200 || got > 1250 {
		t.Errorf("%d resets to one network at once", got)
	}
	if got := len(say(netip.MustParseAddrPort("198.51.100.1:9"), late, 3000)); got == 0 || got > 1250 {
		t.Errorf("%d resets to another network", got)
	}
}
