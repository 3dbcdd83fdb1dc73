// SPDX-License-Identifier: MIT

package poll

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"golang.org/x/sys/unix"
)

// TestBursts sends datagrams of all sizes to several addresses: each arrives as it is, and in
// order, however they are put together.
func TestBursts(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "0.0.0.0", "[::1]", "[::]"} {
		for _, refused := range []bool{false, true} {
			name := host
			if refused {
				name += ", a kernel that cuts nothing"
			}
			t.Run(name, func(t *testing.T) { testBursts(t, host, refused) })
		}
	}
}

func testBursts(t *testing.T, host string, refused bool) {
	count := &backend.Counters{}
	runner, err := Sockets{}.Listen(backend.Settings{
		Listeners: []backend.Listener{{Name: "test", Address: host + ":0", Whole: true}},
		Loops:     1, SocketBuffer: 1 << 16, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Skip(err) // no IPv6 here
	}
	r := runner.(*Runner)
	defer r.letGo()
	u, err := openUDP(&loop{r: r, sink: &busySink{}, count: count}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	if !u.bursts {
		t.Skip("this kernel takes none")
	}
	if refused { // it wants the checksums that it makes itself
		if err := unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
			t.Fatal(err)
		}
	}
	to := "127.0.0.1:0"
	if host == "[::1]" {
		to = "[::1]:0"
	}
	local := netip.MustParseAddrPort(to).Addr()
	var from backend.Local // on a wildcard listener the address that players speak to
	if u.any {
		from, _ = r.Locals.Name(local)
	}
	var players []*net.UDPConn
	var addrs []netip.AddrPort
	for range 3 {
		pc, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		players = append(players, pc)
		at := pc.LocalAddr().(*net.UDPAddr).AddrPort()
		addrs = append(addrs, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
	}
	var out backend.Outbox
	out.Init(0)
	rng := rand.New(rand.NewPCG(1, 2))
	var sent [3][][]byte
	push := func(player, size int, from backend.Local) {
		d := make([]byte, size)
		for i := range d {
			d[i] = byte(rng.Uint32())
		}
		out.Push(addrs[player], from, copy(out.Slot()[:size], d))
		sent[player] = append(sent[player], d)
	}
	for round := range 60 {
		sizes := []int{24, 48, 1200, backend.SlotSize}
		for n := 1 + rng.IntN(backend.Slots); n > 0; {
			player, size := rng.IntN(3), sizes[rng.IntN(len(sizes))]
			for k := 1 + rng.IntN(10); k > 0 && n > 0; k, n = k-1, n-1 {
				f := from
				if rng.IntN(30) == 0 {
					f = 0
				}
				push(player, size, f)
			}
		}
		if round == 0 { // as many as there can be, larger than the kernel takes in one piece
			for out.N < backend.Slots {
				push(0, backend.SlotSize, from)
			}
		}
		n := out.N - out.Head
		if messages := u.fill(&out, true); n > 30 && messages > n/2 {
			t.Errorf("%d datagrams are %d messages", n, messages)
		}
		before := count.DatagramsOut
		if !u.send(&out) || !out.Empty() {
			t.Fatalf("round %d: not all were sent", round)
		}
		if got := count.DatagramsOut - before; got != uint64(n) || count.SendFailed.Load() > 0 {
			t.Errorf("round %d: %d sent and %d failed of %d", round, got, count.SendFailed.Load(), n)
		}
		for p, pc := range players {
			buf := make([]byte, 1<<16)
			for i, want := range sent[p] {
				_ = pc.SetReadDeadline(time.Now().Add(5 * time.Second))
				size, at, err := pc.ReadFromUDPAddrPort(buf)
				if err != nil || !bytes.Equal(buf[:size], want) {
					t.Fatalf("round %d, player %d, datagram %d of %d bytes: %d came, %v", round, p, i, len(want), size, err)
				}
				if a := at.Addr().Unmap(); a != local {
					t.Fatalf("from %v, want %v", a, local)
				}
			}
			sent[p] = nil
		}
	}
}
