// SPDX-License-Identifier: MIT

package transport

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// FuzzLoop feeds a loop what a stranger may send: datagrams from two
// addresses, bytes on a stream, and time that passes. Nothing may panic, and
// nothing may grow that the limits bound.
func FuzzLoop(f *testing.F) {
	p := newPeer(1)
	p.Write(beat)
	opening := p.Output(0, nil, 1400)
	f.Add(append([]byte{0, byte(len(opening)), 0}, opening...))
	f.Add([]byte{2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 5})
	f.Add(append([]byte{2, 12, 0}, frame([]byte("hi"))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, _ := testLoop(Config{MaxLinks: 8, MaxBody: 2000}, &echoHandler{})
		from := [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("[fe80::1%2]:2")}
		s := &fakeStream{}
		l.begin()
		k := l.openStream(TCP, s, from[0])
		l.end()
		in := 0
		for len(data) >= 3 {
			what, n := data[0], int(binary.LittleEndian.Uint16(data[1:]))
			n = min(n, len(data)-3)
			piece := data[3 : 3+n]
			data = data[3+n:]
			l.begin()
			switch what % 4 {
			case 0, 1:
				plainOf(l).datagram(path{addr: from[what%4]}, piece)
				in += n
			case 2:
				if k.base().state&stateClosed == 0 {
					s.in = append(s.in, piece...)
					k.Data(s)
				}
			case 3:
				l.t.start = l.t.start.Add(-time.Duration(n) * time.Millisecond)
			}
			l.end()
			if len(s.in) > 2000+20 {
				t.Fatalf("%d bytes of a stream wait", len(s.in))
			}
		}
		if got := l.stats.panics.Load(); got != 0 {
			t.Fatalf("%d panics", got)
		}
		if n := l.t.admission.carriers[PlainKCP].open.Load(); n > 8 || n != int64(len(plainOf(l).table)) {
			t.Fatalf("%d links open, %d in the table", n, len(plainOf(l).table))
		}
		l.begin()
		l.closeAll(ErrStopped)
		l.end()
		if len(plainOf(l).table)+len(l.streams)+len(l.timers.heap) != 0 || l.t.admission.links.Load() != 0 || plainOf(l).unvalidated.Len() != 0 {
			t.Fatal("something is left after all links closed")
		}
	})
}
