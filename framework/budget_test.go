// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// hoard is a server whose players may have 512 KiB waiting together, and each
// of them 64 KiB.
var hoard = framework.Config{
	Loops: 2, BufferBytes: 512 << 10,
	Session: session.Config{Interval: 2 * time.Second, Timeout: 8 * time.Second, Grace: 10 * time.Minute, MaxBody: 4 << 10, SendPackets: 1000, SendBytes: 64 << 10},
}

// TestNodeCap sends to twelve players who are away more than the server may
// keep for all: it never keeps more, nobody waits, who is there loses nothing,
// and who comes back has either everything or a RESET (situations 48 and 50).
func TestNodeCap(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared=", shared), func(t *testing.T) {
			onEach(t, func(t *testing.T, c transport.Carrier) { fillNode(t, c, shared) })
		})
	}
}

func fillNode(t *testing.T, carrier transport.Carrier, shared bool) {
	var mu sync.Mutex
	resets := map[string]bool{}
	cfg := hoard
	cfg.OnSnapshot = func(p *framework.Player) {
		mu.Lock()
		resets[p.User()] = true
		mu.Unlock()
	}
	simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
		got := map[string]*[]uint64{}
		watch := func(user string, c *client.Client) {
			list := new([]uint64)
			got[user] = list
			client.OnMessage(c, "n", func(m numbered) {
				mu.Lock()
				*list = append(*list, m.N)
				mu.Unlock()
			})
			e.connect(c)
		}
		away := map[string]*client.Client{}
		for i := range 12 {
			user := fmt.Sprint("away", i)
			away[user] = e.newClient(user, carrier)
			watch(user, away[user])
		}
		watch("here", e.newClient("here", carrier))
		for _, c := range away {
			c.Pause()
		}
		e.within(time.Minute, "twelve are away", func() bool { return attached(e) == 1 })

		body := bytes.Repeat([]byte{1}, 1000)
		const rounds = 60 // of a kilobyte to each: 720 KB in all
		for n := range uint64(rounds) {
			if m := (numbered{n + 1, body}); shared {
				_ = e.srv.Broadcast("n", m)
			} else {
				for _, p := range e.players() {
					_ = p.Push("n", m)
				}
			}
			time.Sleep(50 * time.Millisecond)
			if st := e.srv.Stats(); st.Buffered > cfg.BufferBytes {
				t.Fatalf("round %d: %d bytes are kept of %d", n, st.Buffered, cfg.BufferBytes)
			}
		}
		st := e.srv.Stats()
		if st.OverBudget == 0 || st.Overflows < st.OverBudget || st.OverBudget > 12 {
			t.Errorf("over budget %d, overflows %d, should be 1 to 12 and no less", st.OverBudget, st.Overflows)
		}
		if hooks := fmt.Sprint(e.of("here")); hooks != "[open]" {
			t.Errorf("who was there saw %s", hooks)
		}
		for _, c := range away {
			c.Hurry()
		}
		e.within(time.Minute, "all are back", func() bool { return attached(e) == 13 })
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		for user, list := range got {
			if !resets[user] {
				wholeFrom(t, user, *list, 1, rounds)
			}
		}
		if st := e.srv.Stats(); st.Buffered > cfg.BufferBytes/32 {
			t.Errorf("everything is acknowledged and %d bytes are kept", st.Buffered)
		}
		n := 0
		for _, r := range resets {
			if r {
				n++
			}
		}
		if uint64(n) != st.Overflows {
			t.Errorf("%d players came back to a RESET after %d overflows", n, st.Overflows)
		}
	})
}

// numbered is a message of some size.
type numbered struct {
	N    uint64
	Body []byte
}

func attached(e *env) (n int) {
	for _, p := range e.players() {
		if p.Attached() {
			n++
		}
	}
	return n
}
