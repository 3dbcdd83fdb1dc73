// SPDX-License-Identifier: MIT

package kcp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	errBytes   = errors.New("received bytes that were not sent")
	errMissing = errors.New("a perfect network doesn't deliver everything")
	errTooMany = errors.New("more segments than the send window can make")
)

// FuzzInput: whatever one datagram holds, it is refused without a trace or
// leaves a Conn that is sound and bounded.
func FuzzInput(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, HeaderSize))
	f.Add(build(header{conv: 9, cmd: cmdPush, sn: 0, size: 3}, header{conv: 9, cmd: cmdPush, sn: 2, size: 3}))
	f.Add(build(header{conv: 9, cmd: cmdAck, sn: 1, ts: 100, wnd: 9, una: 1}))
	f.Add(build(header{conv: 9, cmd: cmdWindowAsk, una: 1 << 31}, header{conv: 9, cmd: cmdWindowTell, una: 2}))
	f.Fuzz(func(t *testing.T, d []byte) {
		for _, c := range []*Conn{new(Conn), talking(t)} {
			if c.cfg == nil {
				c.Init(9, &Config{})
			}
			was := *c
			if err := c.Input(130*ms, d); err != nil && *c != was {
				t.Fatalf("refused with %v, but changed", err)
			}
			if err := c.audit(); err != nil {
				t.Fatal(err)
			}
			for _, out := range flush(c, 130*ms) {
				if len(out) > int(c.mtu) {
					t.Fatalf("sends %d bytes", len(out))
				}
			}
			drain(c)
			if err := c.audit(); err != nil {
				t.Fatal(err)
			}
		}
		if Opens(d) {
			conv, _ := ParseConv(d)
			c := new(Conn)
			c.Init(conv, &Config{})
			if err := c.Input(0, d); err != nil || c.Peek() == nil {
				t.Fatalf("opens a conversation that says %v, %d bytes", err, len(c.Peek()))
			}
		}
	})
}

// FuzzConversation lets the input drive a whole conversation: two ends, what
// they write, what the network does to their datagrams, and what a forger adds.
func FuzzConversation(f *testing.F) {
	f.Add([]byte{0, 10, 2, 3, 40, 2, 3, 1, 200, 7, 9})
	f.Add([]byte{0, 255, 0, 255, 1, 255, 4, 0, 5, 0, 3, 250, 2, 0, 6, 1, 8, 0, 3, 255, 2, 0})
	f.Add(append([]byte{0, 9, 2, 0, 9, 1}, build(header{conv: 9, cmd: cmdAck, una: 1})...))
	f.Fuzz(func(t *testing.T, script []byte) {
		if err := runScript(script); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRandomScripts is FuzzConversation without a fuzzer, for every run.
func TestRandomScripts(t *testing.T) {
	for n := range uint64(seedCount()) {
		r := rand.New(rand.NewPCG(*seed+n, 3))
		script := make([]byte, r.IntN(1000))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		if err := runScript(script); err != nil {
			t.Fatalf("seed %d: %v", *seed+n, err)
		}
	}
}

func runScript(script []byte) error {
	w := newFuzzWorld()
	for len(script) > 1 && w.failed == nil {
		script = script[w.act(script[0], script[1], script[2:])+2:]
	}
	w.check()
	if w.failed == nil && !w.foreign {
		w.finish()
	}
	return w.failed
}

type fuzzWorld struct {
	now      time.Duration
	conns    [2]*Conn
	sent     [2][]byte
	received [2][]byte
	net      [2][][]byte // by receiver
	foreign  bool        // bytes of neither end were let in
	failed   error
}

func newFuzzWorld() *fuzzWorld {
	cfg := &Config{Pool: NewPool(0), MTU: 200, SendWindow: 20, RecvWindow: 12}
	a, b := newOurs(9, cfg, 1<<32-5, 1<<32-9), newOurs(9, cfg, 1<<32-9, 1<<32-5)
	return &fuzzWorld{conns: [2]*Conn{&a.Conn, &b.Conn}}
}

// act does one thing and returns how much of rest it used up.
func (w *fuzzWorld) act(op, arg byte, rest []byte) (used int) {
	side := int(arg & 1)
	c := w.conns[side]
	switch op % 11 {
	case 0: // write
		n := min(int(arg)*3, c.Room())
		for i := range n {
			w.sent[side] = append(w.sent[side], byte(len(w.sent[side])*7+i))
		}
		if err := c.Write(w.sent[side][len(w.sent[side])-n:]); err != nil {
			w.fail(err)
		}
	case 1: // read some
		if b := c.Peek(); b != nil {
			n := min(int(arg), len(b))
			w.received[side] = append(w.received[side], b[:n]...)
			c.Discard(n)
		}
	case 2: // send one datagram
		if d := c.Output(w.now, nil, 20+int(arg)*4); len(d) > 0 {
			w.net[1-side] = append(w.net[1-side], d)
		}
	case 3: // time passes
		w.now += time.Duration(arg) * time.Duration(arg) * time.Millisecond / 4
	case 4: // drop
		w.take(side, arg)
	case 5: // duplicate
		if d := w.take(side, arg); d != nil {
			w.net[side] = append(w.net[side], d, d)
		}
	case 6, 7: // deliver one, any one
		if d := w.take(side, arg); d != nil {
			w.deliver(side, d)
		}
	case 8: // corrupt and deliver
		if d := w.take(side, arg); d != nil && len(rest) > 1 {
			d = bytes.Clone(d)
			d[int(rest[0])%len(d)] ^= rest[1]
			w.inject(side, d)
			used = 2
		}
	case 9: // inject
		used = min(int(arg), len(rest))
		w.inject(side, rest[:used])
	case 10:
		if err := c.SetMTU(MinMTU + int(arg)); err != nil {
			w.fail(err)
		}
	}
	w.check()
	return used
}

func (w *fuzzWorld) fail(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

func (w *fuzzWorld) take(side int, arg byte) []byte {
	if len(w.net[side]) == 0 {
		return nil
	}
	i := int(arg>>1) % len(w.net[side])
	d := w.net[side][i]
	w.net[side] = append(w.net[side][:i:i], w.net[side][i+1:]...)
	return d
}

// deliver brings an honest datagram, which must be taken as long as no
// foreign one confused the receiver.
func (w *fuzzWorld) deliver(side int, d []byte) {
	if err := w.conns[side].Input(w.now, d); err != nil && !w.foreign {
		w.fail(err)
	}
}

// inject brings a datagram that its sender did not send.
func (w *fuzzWorld) inject(side int, d []byte) {
	c := w.conns[side]
	was := *c
	err := c.Input(w.now, d)
	if err == nil {
		w.foreign = true
	} else if *c != was {
		w.fail(err)
	}
}

func (w *fuzzWorld) check() {
	for i, c := range w.conns {
		if err := c.audit(); err != nil {
			w.fail(err)
		}
		// SetMTU may cut again what was already written.
		if n := int(c.inFlight) + int(c.queued); n > 20*8 {
			w.fail(errTooMany)
		}
		if !w.foreign && !bytes.HasPrefix(w.sent[1-i], w.received[i]) {
			w.fail(errBytes)
		}
	}
}

// finish runs a perfect network: everything arrives.
func (w *fuzzWorld) finish() {
	for end := w.now + time.Minute; w.now < end; w.now += 10 * time.Millisecond {
		for i, c := range w.conns {
			for _, d := range w.net[i] {
				w.deliver(i, d)
			}
			w.net[i] = nil
			w.received[i] = append(w.received[i], drain(c)...)
			w.net[1-i] = append(w.net[1-i], flush(c, w.now)...)
			if c.Err() != nil {
				return // the script let too much time pass
			}
		}
		w.check()
		if w.failed != nil || len(w.received[0]) == len(w.sent[1]) && len(w.received[1]) == len(w.sent[0]) {
			return
		}
	}
	w.fail(errMissing)
}
