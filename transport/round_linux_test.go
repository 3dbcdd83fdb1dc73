// SPDX-License-Identifier: MIT

package transport

import (
	"io"
	"net"
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
		want := uint64(poll.RoundTry + n/poll.RoundBatch + 20)
		if packets == n && batches <= want {
			break
		}
		if packets != n || try == 20 {
			t.Fatalf("%d packets in %d batches, want %d in %d at most", packets, batches, n, want)
		}
	}
	// One that is alone is answered as if there were no rounds.
	for range 2 * poll.RoundTry {
		clients[0].roundTrip("alone")
	}
	for _, c := range clients {
		c.Close()
	}
}

// TestWakeEndsTheWaitBetweenRounds posts while the loop waits for more streams.
func TestWakeEndsTheWaitBetweenRounds(t *testing.T) {
	tr, clients, _ := streamsAtOnce(t, &hooks{}, 1)
	defer stop(t, tr)
	l := tr.Loops()[0]
	for range 50 {
		onLoop(t, l, func() { // as if many had been here, and were worth a wait
			l.below.(pollHooks).CoalesceStreams()
		})
		clients[0].roundTrip("ask")
		onLoop(t, l, func() {})
	}
	clients[0].Close()
}

// TestDatagramsBetweenRounds asks by datagrams while the loop waits for more streams.
func TestDatagramsBetweenRounds(t *testing.T) {
	tr, err := Start(Config{TCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0", Loops: 1, CoalesceDelay: 10 * time.Millisecond, Logger: quiet}, &hooks{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, tr)
	l := tr.Loops()[0]
	byStream, byDatagrams := (&world{carrier: TCP}).dial(t, tr), (&world{carrier: PlainKCP}).dial(t, tr)
	byStream.write(beat)
	byDatagrams.write(beat)
	for range 20 {
		onLoop(t, l, func() { // as if many had been here, and were worth a wait
			l.below.(pollHooks).CoalesceStreams()
		})
		byStream.roundTrip("ask")       // now it waits
		byDatagrams.roundTrip("me too") // and nothing else wakes it
	}
	byStream.Close()
	byDatagrams.Close()
}

// TestSharedBatchOfThoseWhoClose has players say their last words together, the
// first of whom is thrown out by the last, and the loop stop with a batch open.
func TestSharedBatchOfThoseWhoClose(t *testing.T) {
	const n = 2 * poll.RoundTry
	var first *Link
	asked, ended, firstIn, want := 0, 0, 0, 3
	h := &hooks{batch: func(*Loop) { ended++ }}
	h.packet = func(k *Link, p codec.Packet) {
		k.Write(codec.AppendFrame(nil, p.Header, p.Body))
		if string(p.Body) != "ask" {
			return
		}
		switch asked++; asked {
		case poll.RoundTry + 2: // in a batch with others
			first, firstIn = k, ended
		case poll.RoundTry + 4:
			if firstIn != ended { // a batch ends after a millisecond
				want-- // its answer has gone out
			}
			first.Close(io.ErrUnexpectedEOF)
		case poll.RoundTry + 6:
			k.Close(io.ErrUnexpectedEOF) // itself
		case poll.RoundTry + 8:
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
	before := tr.Stats()
	ask()
	for _, c := range clients {
		c.read()
	}
	if got := tr.Stats().WakeUps - before.WakeUps; got < n {
		t.Errorf("%d slow questions were served in %d batches", n, got)
	}
}
