// SPDX-License-Identifier: MIT

package memnet

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var elsewhere = netip.MustParseAddr("10.7.0.1")

// What is lost on a line is the same whatever else the network carries.
func TestLineLosesTheSameByItsSeed(t *testing.T) {
	lost := func(seed uint64, others int) (got []int) {
		synctest.Test(t, func(t *testing.T) {
			n := New(1, Conditions{})
			send := func(line *Line) *PacketConn {
				pc, err := line.ListenPacket()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { pc.Close() })
				return pc
			}
			line := n.NewLine(seed, elsewhere, Conditions{Loss: 0.3, Delay: time.Millisecond})
			pc := send(line)
			for i := range 100 {
				for range others {
					send(n.NewLine(9, netip.MustParseAddr("10.7.0.2"), Conditions{Loss: 0.5})).WriteTo([]byte{0}, &net.UDPAddr{IP: net.IP{10, 0, 0, 1}})
				}
				n.mu.Lock()
				pc.down.datagramLocked(parcel{data: []byte{byte(i)}})
				n.mu.Unlock()
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Millisecond) // the last has arrived before the line is cut
			line.Cut()                   // and everything after that
			n.mu.Lock()
			pc.down.datagramLocked(parcel{data: []byte{200}})
			n.mu.Unlock()
			line.Heal()
			time.Sleep(time.Second)
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, p := range pc.unread {
				got = append(got, int(p.data[0]))
			}
		})
		return got
	}
	first := lost(1, 0)
	if len(first) < 50 || len(first) > 90 || slices.Contains(first, 200) {
		t.Errorf("%d of 100 arrived: %v", len(first), first)
	}
	if again := lost(1, 3); !slices.Equal(first, again) {
		t.Errorf("with others on the network\n%v arrived, without\n%v", again, first)
	}
	if other := lost(2, 0); slices.Equal(first, other) {
		t.Error("another seed loses the same")
	}
}

// Kill breaks the streams of a host's servers, and another server may listen in their place.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Conditions{Delay: time.Millisecond})
		r := &runner{n: n}
		r.loops = []*loop{{n: n, r: r, waker: make(chan struct{}, 1)}}
		at := netip.MustParseAddrPort("10.0.0.1:1")
		if _, err := n.bindLocked(n.streams, at.String(), port{r, 0}); err != nil {
			t.Fatal(err)
		}
		c, err := n.DialTCP(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		n.Kill(netip.MustParseAddr("10.0.0.2"))
		if _, err := c.Write([]byte{1}); err != nil {
			t.Errorf("another host was killed: %v", err)
		}
		n.Kill(at.Addr())
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a stream of the killed server: %v", err)
		}
		if _, err := n.DialTCP(t.Context(), at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the killed server is dialled: %v", err)
		}
		if _, err := n.bindLocked(n.streams, at.String(), port{&runner{n: n}, 0}); err != nil {
			t.Error(err)
		}
	})
}
