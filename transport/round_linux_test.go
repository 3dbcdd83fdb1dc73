// SPDX-License-Identifier: MIT

package transport

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/poll"
)

// streamsAtOnce returns a loop and n clients on it, and a function with which
// all of them ask while the loop is kept from looking.
func streamsAtOnce(t *testing.T, h *hooks, n int) (*Transport, []*client, func()) {
	tr, err := Start(Config{TCP: "127.0.0.1:0", Loops: 1, Logger: quiet}, h)
	if err != nil {
		t.Fatal(err)
	}
	clients := make([]*client, n)
	for i := range clients {
		c, err := net.Dial("tcp", tr.Addr(TCP).String())
		if err != nil {
			t.Fatal(err)
		}
		clients[i] = &client{Conn: c, t: t}
		clients[i].roundTrip("here")
	}
	return tr, clients, func() {
		looks := make(chan struct{})
		_ = tr.Loops()[0].Post(taskFunc(func(*Loop) { <-looks }))
		for _, c := range clients {
			c.write(frame([]byte("ask")))
		}
		close(looks)
	}
}

func TestStreamsThatAreReadableTogetherShareABatch(t *testing.T) {
	const n = 256
	h := &hooks{packet: func(k *Link, p codec.Packet) { k.Write(codec.AppendFrame(nil, p.Header, p.Body)) }}
	tr, clients, ask := streamsAtOnce(t, h, n)
	defer stop(t, tr)
	// A batch ends after a millisecond, so a machine that is busy gets several tries.
	for try := 1; ; try++ {
		onLoop(t, tr.Loops()[0], func() {}) // what is published is of a batch before
		before := tr.Stats()
		ask()
		for _, c := range clients {
			if p := c.read(); string(p.Body) != "ask" {
				t.Fatalf("answer %q", p.Body)
			}
		}
		onLoop(t, tr.Loops()[0], func() {})
		after := tr.Stats()
		batches, packets := after.WakeUps-before.WakeUps, after.PacketsIn-before.PacketsIn
		want := uint64(n/poll.RoundBatch + 20)
		if packets == n && batches <= want {
			break
		}
		if packets != n || try == 20 {
			t.Fatalf("%d packets in %d batches, want %d in %d at most", packets, batches, n, want)
		}
	}
	// One that is alone is answered as if there were no rounds.
	for range 64 {
		clients[0].roundTrip("alone")
	}
	for _, c := range clients {
		c.Close()
	}
}

// loopOfBoth starts a loop of datagrams and streams. With waits it lets more come
// together between batches, as if that were worth it.
func loopOfBoth(t *testing.T, waits bool) *Transport {
	t.Helper()
	tr, err := Start(Config{TCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0", Loops: 1, Logger: quiet}, &hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if l := tr.Loops()[0]; waits {
		onLoop(t, l, func() { l.below.(pollHooks).Coalesce() })
	}
	return tr
}

// TestDatagramsAndStreamsShareALoop: whatever keeps a loop busy, it hears of all else,
// whether it waits between batches or not.
func TestDatagramsAndStreamsShareALoop(t *testing.T) {
	for _, waits := range []bool{false, true} {
		tr := loopOfBoth(t, waits)
		l := tr.Loops()[0]
		for _, tt := range []struct {
			loud, other world
			pause       time.Duration // of the loud one; 0: the loop never has all that has come
		}{
			{world{carrier: TCP}, world{carrier: PlainKCP}, 200 * time.Microsecond},
			{world{carrier: PlainKCP}, world{carrier: TCP}, 200 * time.Microsecond},
			{world{carrier: TCP}, world{carrier: TCP}, 200 * time.Microsecond},
			{world{carrier: TCP}, world{carrier: PlainKCP}, 0},
			{world{carrier: PlainKCP}, world{carrier: TCP}, 0},
		} {
			loud, other := tt.loud.dial(t, tr), tt.other.dial(t, tr)
			loud.write(beat)
			other.write(beat)
			done, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for {
					select {
					case <-done:
						return
					default:
						loud.write(beat)
						time.Sleep(tt.pause)
					}
				}
			}()
			for range 50 {
				other.roundTrip("heard")
				onLoop(t, l, func() {})
				newcomer := tt.other.dial(t, tr)
				newcomer.write(beat)
				newcomer.roundTrip("here")
				newcomer.Close()
			}
			close(done)
			<-ended
			loud.Close()
			other.Close()
		}
		stop(t, tr)
	}
}

// TestLoopHearsDatagramsWhileConnectionsCome: of many that come one is always on its way.
func TestLoopHearsDatagramsWhileConnectionsCome(t *testing.T) {
	tr := loopOfBoth(t, false)
	defer stop(t, tr)
	c := (&world{carrier: PlainKCP}).dial(t, tr)
	defer c.Close()
	c.write(beat)
	c.roundTrip("before")
	time.Sleep(200 * time.Millisecond) // nothing is due
	l := tr.Loops()[0]
	came := l.below.(pollHooks).Coming()
	defer came()
	onLoop(t, l, func() {}) // it has looked
	c.roundTrip("meanwhile")
}

// TestNoWakeUpIsLost posts to a loop that is about to sleep, or wakes, or is busy with
// datagrams, and has its timer ring at once.
func TestNoWakeUpIsLost(t *testing.T) {
	rang := make(chan struct{}, 1)
	tr, err := Start(Config{PlainKCP: "127.0.0.1:0", Loops: 1, Logger: quiet}, &hooks{timer: func(*Loop) { rang <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, tr)
	l := tr.Loops()[0]
	c := (&world{carrier: PlainKCP}).dial(t, tr)
	defer c.Close()
	c.write(beat)
	for i := range 20_000 {
		if i%16 == 0 {
			c.write(beat)
		}
		onLoop(t, l, func() { l.WakeAt(l.Now() + 1 + time.Duration(i%64)*time.Microsecond) })
		select {
		case <-rang:
		case <-time.After(20 * time.Second):
			t.Fatal("the timer does not ring")
		}
		for range i % 50 { // moves the next one through what the loop does
			runtime.Gosched()
		}
	}
}

// TestLoopAtRestSleeps, whatever woke it before, and whether it waits between batches
// or not.
func TestLoopAtRestSleeps(t *testing.T) {
	for _, waits := range []bool{false, true} {
		tr := loopOfBoth(t, waits)
		l := tr.Loops()[0]
		stream, datagrams := (&world{carrier: TCP}).dial(t, tr), (&world{carrier: PlainKCP}).dial(t, tr)
		for name, wake := range map[string]func(){
			"a post":     func() { onLoop(t, l, func() {}) },
			"a timer":    func() { onLoop(t, l, func() { l.WakeAt(l.Now() + time.Millisecond) }) },
			"a stream":   func() { stream.roundTrip("here") },
			"a datagram": func() { datagrams.roundTrip("here") },
			"a newcomer": func() { (&world{carrier: TCP}).dial(t, tr).Close() },
			"a newcomer that the loop can't have": func() {
				c := (&world{carrier: TCP}).dial(t, tr)
				c.Close() // no file of it can be had
				l.below.(pollHooks).HandOver(c.Conn.(*net.TCPConn))
			},
			"a newcomer that its epoll can't have": func() {
				c := (&world{carrier: TCP}).dial(t, tr).Conn.(*net.TCPConn)
				onLoop(t, l, func() {
					l.below.(pollHooks).HandOver(c)
					spoilCopy(t, c)
				})
			},
		} {
			const rest = 100 * time.Millisecond
			used := rest
			for try := 0; used > rest/40 && try < 20; try++ { // something else may be at work in this process
				wake()
				time.Sleep(rest / 4) // KCP acknowledges
				before := processorTime(t)
				time.Sleep(rest)
				used = processorTime(t) - before
			}
			if used > rest/40 {
				t.Errorf("%v of %v at work after %s", used, rest, name)
			}
		}
		stream.Close()
		datagrams.Close()
		stop(t, tr)
	}
}

// spoilCopy waits for the second descriptor of c and makes it one that no epoll takes.
func spoilCopy(t *testing.T, c *net.TCPConn) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	raw, _ := c.SyscallConn()
	own := 0
	_ = raw.Control(func(fd uintptr) { own = int(fd) })
	what, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", own))
	for {
		list, _ := os.ReadDir("/proc/self/fd")
		for _, f := range list {
			fd, _ := strconv.Atoi(f.Name())
			if is, _ := os.Readlink("/proc/self/fd/" + f.Name()); is == what && fd != own {
				if err := syscall.Dup3(int(null.Fd()), fd, syscall.O_CLOEXEC); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
}

// processorTime is what this process has had.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestSharedBatchOfThoseWhoClose has players say their last words together, the
// first of whom is thrown out by the last, and the loop stop with a batch open.
func TestSharedBatchOfThoseWhoClose(t *testing.T) {
	const n = 64
	var first *Link
	asked, ended, firstIn, want := 0, 0, 0, 3
	h := &hooks{batch: func(*Loop) { ended++ }}
	h.packet = func(k *Link, p codec.Packet) {
		k.Write(codec.AppendFrame(nil, p.Header, p.Body))
		if string(p.Body) != "ask" {
			return
		}
		switch asked++; asked {
		case 2: // in a batch with others
			first, firstIn = k, ended
		case 4:
			if firstIn != ended { // a batch ends after a millisecond
				want-- // its answer has gone out
			}
			first.Close(io.ErrUnexpectedEOF)
		case 6:
			k.Close(io.ErrUnexpectedEOF) // itself
		case 8:
			panic("in a batch with others")
		}
	}
	tr, clients, ask := streamsAtOnce(t, h, n)
	ask()
	answered, cut := 0, 0
	for _, c := range clients {
		if _, err := c.next(20 * time.Second); err != nil {
			cut++
		} else {
			answered++
		}
	}
	onLoop(t, tr.Loops()[0], func() {
		if answered != n-want || cut != want {
			t.Errorf("%d were answered and %d cut, want %d and %d", answered, cut, n-want, want)
		}
	})
	ask()
	stop(t, tr)
	for _, c := range clients {
		c.Close()
	}
	if len(h.live) != 0 {
		t.Errorf("%d links live on", len(h.live))
	}
}

// TestWhoAsksAndLeavesIsAnswered: the end of a stream comes while the batch of
// its question is still open.
func TestWhoAsksAndLeavesIsAnswered(t *testing.T) {
	const n = 96
	h := &hooks{packet: func(k *Link, p codec.Packet) { k.Write(codec.AppendFrame(nil, p.Header, p.Body)) }}
	tr, clients, _ := streamsAtOnce(t, h, n)
	defer stop(t, tr)
	looks := make(chan struct{})
	_ = tr.Loops()[0].Post(taskFunc(func(*Loop) { <-looks }))
	for _, c := range clients {
		c.write(frame([]byte("ask")))
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	}
	close(looks)
	for i, c := range clients {
		if p := c.read(); string(p.Body) != "ask" {
			t.Fatalf("client %d is answered %q", i, p.Body)
		}
	}
}

// TestSlowHandlersShareNoBatch: no player waits for the questions of 63 others when
// they take long, and neither do timers.
func TestSlowHandlersShareNoBatch(t *testing.T) {
	const n = 64
	h := &hooks{packet: func(k *Link, p codec.Packet) {
		if string(p.Body) == "ask" {
			time.Sleep(2 * poll.RoundTime)
		}
		k.Write(codec.AppendFrame(nil, p.Header, p.Body))
	}}
	tr, clients, ask := streamsAtOnce(t, h, n)
	defer stop(t, tr)
	onLoop(t, tr.Loops()[0], func() {})
	before := tr.Stats()
	ask()
	for _, c := range clients {
		c.read()
	}
	onLoop(t, tr.Loops()[0], func() {}) // what is published is of a batch before
	if got := tr.Stats().WakeUps - before.WakeUps; got < n {
		t.Errorf("%d slow questions were served in %d batches", n, got)
	}
}

// TestSlowHandlerClosesItsStream: it is closed at once, also if nothing comes after it.
func TestSlowHandlerClosesItsStream(t *testing.T) {
	h := &hooks{packet: func(k *Link, p codec.Packet) {
		if string(p.Body) == "ask" {
			time.Sleep(2 * poll.RoundTime)
			k.Close(io.ErrUnexpectedEOF)
			return
		}
		k.Write(codec.AppendFrame(nil, p.Header, p.Body))
	}}
	tr, clients, ask := streamsAtOnce(t, h, 1)
	defer stop(t, tr)
	ask()
	_, err := clients[0].next(20 * time.Second)
	if late, ok := err.(net.Error); err == nil || ok && late.Timeout() {
		t.Errorf("its peer reads %v", err)
	}
}
