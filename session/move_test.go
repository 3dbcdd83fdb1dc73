// SPDX-License-Identifier: MIT

package session

import (
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// SPEC 3.11: MOVE changes nothing before its time; the first attempt after a
// link that ends later goes to the address.
func TestMoveIsFollowedOnceItsTimeHasCome(t *testing.T) {
	const there = "tcp://b:1 ws://b:2"
	bye := AppendBye(nil, &CloseError{Code: ShuttingDown})
	for _, k := range []struct {
		what string
		end  func(c *Client, now time.Duration) // of the link
		at   time.Duration
		want string
	}{
		{"the link breaks before", func(c *Client, now time.Duration) { c.LinkDown(now) }, 9 * time.Second, ""},
		{"the server lets it go before", func(c *Client, now time.Duration) { _, _ = c.Receive(packetOf(t, bye), now) }, 9 * time.Second, ""},
		{"the link breaks at its time", func(c *Client, now time.Duration) { c.LinkDown(now) }, 11 * time.Second, there},
		{"the server lets it go at its time", func(c *Client, now time.Duration) { _, _ = c.Receive(packetOf(t, bye), now) }, 11 * time.Second, there},
		{"the app cuts the link", func(c *Client, now time.Duration) { c.LinkDropped(now) }, 12 * time.Second, there},
		{"BYE{MOVED} knows better", func(c *Client, now time.Duration) {
			_, _ = c.Receive(packetOf(t, AppendBye(nil, &CloseError{Code: Moved, Text: "tcp://c:3"})), now)
		}, 11 * time.Second, "tcp://c:3"},
	} {
		c := openClient(t)
		_, err := c.Receive(packetOf(t, AppendMove(nil, 10*time.Second, there)), time.Second)
		ch := c.Changes()
		if err != nil || c.State() != Open || len(ch) != 1 || ch[0].Kind != Moving || ch[0].Delay != 10*time.Second || ch[0].Address != there {
			t.Fatalf("MOVE: %v, %v, %+v", err, c.State(), ch)
		}
		k.end(c, k.at)
		if got := c.Address(); got != k.want {
			t.Errorf("%s: goes to %q, want %q", k.what, got, k.want)
		}
	}
	// The last one counts, and an empty address takes nobody anywhere.
	c := openClient(t)
	for _, m := range [][]byte{AppendMove(nil, 0, there), AppendMove(nil, 0, "")} {
		if _, err := c.Receive(packetOf(t, m), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if c.LinkDown(2 * time.Second); c.Address() != "" {
		t.Errorf("goes to %q", c.Address())
	}
	// Another link knows nothing of the MOVE of the one before.
	c = openClient(t)
	_, _ = c.Receive(packetOf(t, AppendMove(nil, 10*time.Second, there)), time.Second)
	c.LinkDown(2 * time.Second)
	if c.moveTo != "" {
		t.Error("the MOVE outlives its link")
	}
	if _, err := openClient(t).Receive(codec.Packet{Header: codec.Header{Kind: codec.Move}, Body: []byte{0xc1}}, time.Second); err == nil {
		t.Error("a malformed MOVE is taken")
	}
}

// SPEC 14.1: whatever was under way when the server began to settle, both ends
// have it once Settled says so.
func TestSettledMeansThatNothingIsOnItsWay(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed, Config{})
		p := w.connected("a")
		w.run(time.Duration(w.rng.IntN(5000)) * time.Millisecond)
		for range w.rng.IntN(30) {
			p.send(w.rng.IntN(5))
			p.seat.push(w.rng.IntN(5))
			w.run(time.Duration(w.rng.IntN(40)) * time.Millisecond)
		}
		s := &p.seat.s
		s.Settle()
		p.seat.wake()
		sent := p.c.wrote
		w.until(10*time.Second, func() bool {
			p.send(1) // the app does not stop
			ok := s.Settled()
			if !ok && s.Wants() {
				p.seat.wake()
			}
			return ok
		})
		w.run(time.Second) // what the server wrote arrives, as BYE would behind it
		if s.recv < sent || s.recv != p.c.wrote || p.c.acked != s.recv {
			t.Errorf("seed %d: accepted %d, written %d, known to be accepted %d", seed, s.recv, p.c.wrote, p.c.acked)
		}
		if p.c.recv != s.sent || s.acked != s.sent {
			t.Errorf("seed %d: %d sent to the client, %d there, %d acknowledged", seed, s.sent, p.c.recv, s.acked)
		}
		// The session ends here: what the client reports is what was never written.
		queued, _ := p.c.Queued()
		p.seat.close(Expired)
		w.until(time.Minute, func() bool { return slices.Contains(p.changes, Ending) })
		if len(p.lost) != queued {
			t.Errorf("seed %d: %d reported, %d were still with the client", seed, len(p.lost), queued)
		}
	}
}
