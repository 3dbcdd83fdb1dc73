// SPDX-License-Identifier: MIT

package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// lowLimitEnv makes the test binary a server that may open few files.
const lowLimitEnv = "LIFELINE_TEST_LOW_LIMIT"

// lowLimitMain is that server. It ends with its standard input.
func lowLimitMain() {
	h := &hooks{}
	var files []*os.File // the loop's own
	h.packet = func(k *Link, p codec.Packet) {
		switch {
		case p.Kind == codec.Heartbeat:
			k.ValidateAddress()
		case string(p.Body) == "take": // every file that there is
			for socketsOpenTwice() { // until an acceptor has closed its own
				time.Sleep(time.Millisecond)
			}
			for f, err := os.Open(os.DevNull); err == nil; f, err = os.Open(os.DevNull) {
				files = append(files, f)
			}
			k.Write(frame([]byte("taken")))
		case string(p.Body) == "give":
			for _, f := range files {
				f.Close()
			}
			k.Write(frame([]byte("given")))
		default:
			k.Write(codec.AppendFrame(nil, p.Header, p.Body))
		}
	}
	tr, err := Start(Config{TCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0", WebSocket: "127.0.0.1:0", Loops: 1, Logger: quiet}, h)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(tr.Addr(TCP), tr.Addr(PlainKCP), tr.Addr(WebSocket))
	io.Copy(io.Discard, os.Stdin)
	if err := tr.Stop(context.Background()); err != nil { // some are only counted when the next one comes
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("refused %d accept failures %d\n", tr.Stats().Carriers["tcp"].TooManyLinks, tr.Stats().AcceptFailures)
}

// socketsOpenTwice reports whether two descriptors of this process are one socket.
func socketsOpenTwice() bool {
	list, _ := os.ReadDir("/proc/self/fd")
	seen := map[string]bool{}
	for _, f := range list {
		what, _ := os.Readlink("/proc/self/fd/" + f.Name())
		if strings.HasPrefix(what, "socket:") && seen[what] {
			return true
		}
		seen[what] = true
	}
	return false
}

// lowLimitServer starts the server with n open files at most.
func lowLimitServer(t *testing.T, n int) (tcp, udp, ws string, end func() string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d && exec %s", n, exe))
	cmd.Env = append(os.Environ(), lowLimitEnv+"=1")
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if _, serr := fmt.Sscan(line, &tcp, &udp, &ws); err != nil || serr != nil {
		t.Fatalf("server said %q, %v", line, err)
	}
	return tcp, udp, ws, func() string {
		in.Close()
		line, _ := lines.ReadString('\n')
		if err := cmd.Wait(); err != nil {
			t.Error("server died:", err)
		}
		return strings.TrimSpace(line)
	}
}

func TestTooManyConnectionsDoNotEndTheServer(t *testing.T) {
	tcp, _, _, end := lowLimitServer(t, 64)
	var conns []net.Conn
	served := 0
	for range 150 {
		c, err := net.Dial("tcp", tcp)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		c.Write(frame([]byte("hello")))
		if n, _ := c.Read(make([]byte, 100)); n > 0 {
			served++
		}
	}
	if served < 10 || served > 48 {
		t.Errorf("%d of 150 connections served under a limit of 64 files", served)
	}
	for _, c := range conns {
		c.Close()
	}
	refused := 150 - served
	for range 5 {
		eventually(t, "served again", func() bool { // once the server knows that the others have gone
			c, err := net.Dial("tcp", tcp)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			c.Write(frame([]byte("served again")))
			if n, _ := c.Read(make([]byte, 100)); n == 0 {
				refused++
				return false
			}
			return true
		})
	}
	if got, want := end(), fmt.Sprintf("refused %d accept failures %d", refused, refused); got != want {
		t.Errorf("server counted %q, want %q", got, want)
	}
}

// TestIdleConnectionsGiveTheirDescriptors: players come in although connections
// that ask for nothing have taken what there is.
func TestIdleConnectionsGiveTheirDescriptors(t *testing.T) {
	// 48 for players and what serves them, half of that for those who have said nothing.
	tcp, _, ws, end := lowLimitServer(t, 64)
	for range 100 {
		idle, err := net.Dial("tcp", ws)
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
	}
	for range 8 { // with some 23 files of the server's own, below 48 by more than are ever on their way in
		c, err := net.Dial("tcp", tcp)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		(&client{Conn: c, t: t}).roundTrip("let in")
	}
	c, err := net.Dial("tcp", ws) // behind the idle ones: now all of them are in
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(&client{Conn: newWSConn(c, 1<<16), t: t}).roundTrip("let in, too")
	if got := end(); got != "refused 0 accept failures 0" {
		t.Errorf("server counted %q", got)
	}
}

// TestNoFilesLeft: something else in the process has taken every file, and
// newcomers come all the same. They are refused at once, and all others play on.
func TestNoFilesLeft(t *testing.T) {
	tcp, udp, ws, end := lowLimitServer(t, 256)
	dial := func(carrier Carrier, addr string) *client {
		tr := &Transport{}
		tr.addrs[carrier] = netip.MustParseAddrPort(addr)
		c := (&world{carrier: carrier}).dial(t, tr)
		c.write(beat)
		return c
	}
	players := []*client{dial(PlainKCP, udp), dial(TCP, tcp), dial(WebSocket, ws)}
	others := func(when string) {
		for _, p := range players {
			p.roundTrip(when)
		}
	}
	others("before")
	players[1].write(frame([]byte("take")))
	if p := players[1].read(); string(p.Body) != "taken" {
		t.Fatalf("%q", p.Body)
	}
	for _, addr := range []string{tcp, ws, tcp, ws, tcp} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a newcomer at %s: %d bytes, %v; want to be refused", addr, n, err)
		}
		c.Close()
		others("meanwhile")
	}
	players[1].write(frame([]byte("give")))
	if p := players[1].read(); string(p.Body) != "given" {
		t.Fatalf("%q", p.Body)
	}
	dial(TCP, tcp).roundTrip("in again")
	dial(WebSocket, ws).roundTrip("in again")
	others("after")
	if got, want := end(), "refused 3 accept failures 5"; got != want {
		t.Errorf("server counted %q, want %q", got, want)
	}
}

// TestEngineThatEndsIsReplaced ends a loop's engine, as no shortage of files does.
func TestEngineThatEndsIsReplaced(t *testing.T) {
	tr, err := Start(Config{TCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0", Loops: 1, Logger: quiet}, &hooks{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, tr)
	player := (&world{carrier: PlainKCP}).dial(t, tr)
	player.write(beat)
	player.roundTrip("before")
	c := (&world{carrier: TCP}).dial(t, tr)
	c.roundTrip("before")
	tr.loops[0].below.(pollHooks).EndEngine()
	if _, err := c.next(20 * time.Second); err != io.EOF {
		t.Errorf("the connection of the ended engine: %v, want EOF", err)
	}
	player.roundTrip("the same link as before")
	eventually(t, "a connection to the new engine", func() bool {
		conn, err := net.Dial("tcp", tr.Addr(TCP).String())
		if err != nil {
			return false
		}
		defer conn.Close()
		again := &client{Conn: conn, t: t}
		again.write(frame([]byte("served again")))
		_, err = again.next(20 * time.Second)
		return err == nil
	})
	if tr.Stats().AcceptFailures == 0 {
		t.Error("the restart of the listeners is not counted")
	}
}

// TestEngineThatBreaksLeavesNobodyWaiting: a connection that is on its way to an engine is
// closed when that ends.
func TestEngineThatBreaksLeavesNobodyWaiting(t *testing.T) {
	tr, err := Start(Config{TCP: "127.0.0.1:0", Loops: 1, Logger: quiet}, &hooks{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, tr)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	player, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l := tr.loops[0]
	onLoop(t, l, func() {
		l.below.(pollHooks).BreakEngine()
		l.below.(pollHooks).HandOver(conn.(*net.TCPConn))
	})
	player.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := player.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the player hears %v, want the end", err)
	}
	eventually(t, "another engine", func() bool {
		c, err := net.Dial("tcp", tr.Addr(TCP).String())
		if err != nil {
			return false
		}
		defer c.Close()
		again := &client{Conn: c, t: t}
		again.write(frame([]byte("served again")))
		_, err = again.next(20 * time.Second)
		return err == nil
	})
}

// TestOneBadDestinationDoesNotHoldUpOthers sends to an address that the kernel
// refuses, between two that it takes.
func TestOneBadDestinationDoesNotHoldUpOthers(t *testing.T) {
	w := &world{carrier: PlainKCP}
	tr := w.start(t, Config{Loops: 1}, &hooks{})
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	good := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	bad := netip.AddrPortFrom(good.Addr(), 0)
	l := tr.Loops()[0]
	onLoop(t, l, func() {
		for i, to := range []netip.AddrPort{good, bad, bad, good, bad} {
			slot := plainOf(l).out.Slot()
			plainOf(l).out.Push(to, 0, len(append(slot, byte('a'+i))))
		}
	})
	buf := make([]byte, 10)
	for _, want := range []string{"a", "d"} {
		pc.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, _, err := pc.ReadFrom(buf)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("received %q, %v; want %q", buf[:n], err, want)
		}
	}
	onLoop(t, l, func() {})
	if s := tr.Stats(); s.SendFailed != 3 || s.DatagramsOut != 2 {
		t.Errorf("%d failed, %d sent; want 3 and 2", s.SendFailed, s.DatagramsOut)
	}
}

// TestDatagramsAllocateNothing is the whole way from socket to socket.
func TestDatagramsAllocateNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	b := newEchoBench(t, 256)
	b.run(20_000) // warm up: pools, maps
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	wakes := b.tr.Stats().WakeUps
	const n = 100_000
	b.run(n)
	runtime.ReadMemStats(&after)
	wakes = b.tr.Stats().WakeUps - wakes
	allocs := after.Mallocs - before.Mallocs
	t.Logf("%.3f allocations a message, %.1f messages a batch", float64(allocs)/n, n/float64(wakes))
	if float64(allocs) > 0.05*n {
		t.Errorf("%d allocations for %d messages in %d batches", allocs, n, wakes)
	}
}

// TestDatagramsAreCoalesced: one wake-up takes many of them.
func TestDatagramsAreCoalesced(t *testing.T) {
	w := &world{carrier: PlainKCP}
	tr := w.start(t, Config{Loops: 1, CoalesceDelay: maxCoalesceDelay}, &hooks{})
	c := w.dial(t, tr)
	c.roundTrip("here")
	raw, err := net.Dial("udp", tr.Addr(PlainKCP).String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	const n = 1600
	most := 0.0 // in a batch; how many follow closely is up to the scheduler
	for try := 0; most < 4 && try < 50; try++ {
		before := tr.Stats()
		for range n {
			if _, err := raw.Write([]byte("no KCP")); err != nil {
				t.Fatal(err)
			}
		}
		c.roundTrip("still here") // by then they are all there, but for what the latest batch has yet to count
		after := tr.Stats()
		datagrams, wakes := after.DatagramsIn-before.DatagramsIn, after.WakeUps-before.WakeUps
		t.Logf("%d datagrams in %d batches", datagrams, wakes)
		most = max(most, float64(datagrams)/float64(wakes))
	}
	if most < 4 {
		t.Errorf("%.1f datagrams in a batch at most", most)
	}
}

// TestNobodyTakesThePortOver: gnet sets SO_REUSEADDR, which on a datagram
// socket would let any user's process bind the port and get the datagrams.
func TestNobodyTakesThePortOver(t *testing.T) {
	w := &world{carrier: PlainKCP}
	tr := w.start(t, Config{Loops: 2}, &hooks{})
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	addr := tr.Addr(PlainKCP)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != syscall.EADDRINUSE {
		t.Errorf("another socket on the port: %v, want EADDRINUSE", err)
	}
}

func TestTheKernelKnowsTheRoundTripOfTCP(t *testing.T) {
	for _, c := range []Carrier{TCP, WebSocket} {
		w := &world{carrier: c}
		var srtt atomic.Int64 // its loop writes it
		h := &hooks{packet: func(k *Link, p codec.Packet) {
			srtt.Store(int64(k.RTT()))
			if p.Kind != codec.Heartbeat {
				k.Write(codec.AppendFrame(nil, p.Header, p.Body))
			}
		}}
		cl := w.dial(t, w.start(t, Config{Loops: 1}, h))
		cl.write(beat)
		cl.roundTrip("hello")
		cl.roundTrip("again") // by now it has measured
		if got := time.Duration(srtt.Load()); got <= 0 || got > time.Minute {
			t.Errorf("%v: SRTT %v", c, got)
		}
	}
}

// pollHooks are what sockets offer to tests.
type pollHooks interface {
	EndEngine()
	BreakEngine()
	Coalesce()
	Coming() (came func())
	HandOver(*net.TCPConn)
	HoldAcceptor() (held func() bool, release func())
}

// TestLoopStartsAmongManyFiles: players of other loops may have the first 65,536.
func TestLoopStartsAmongManyFiles(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for last := 0; last < 1<<16; {
		if last, err = syscall.Dup(int(null.Fd())); err != nil {
			t.Skip("the limit of open files is too low: ", err)
		}
		defer syscall.Close(last)
	}
	tr, err := Start(Config{TCP: "127.0.0.1:0", Loops: 1, Logger: quiet}, &hooks{})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, tr)
}
