// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

func TestEchoOfEverySize(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		tr := w.start(t, Config{Loops: 2}, h)
		c := w.dial(t, tr)
		c.write(beat)
		for _, n := range []int{1, 2, 127, 128, 1166, 1167, 1168, 1176, 1177, 5000, 16383, 16384, codec.DefaultMaxBody - 1, codec.DefaultMaxBody} {
			body := make([]byte, n)
			for i := range body {
				body[i] = byte(rand.Uint32())
			}
			go c.Write(frame(body))
			if p := c.read(); !bytes.Equal(p.Body, body) || p.Kind != codec.Message {
				t.Fatalf("echo of %d bytes differs: %v, %d bytes", n, p.Kind, len(p.Body))
			}
		}
	})
}

func TestManyFramesStayInOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		tr := w.start(t, Config{}, &hooks{})
		c := w.dial(t, tr)
		c.write(beat)
		const n = 3000
		ahead := make(chan struct{}, 500) // of what was read: the server's buffer is no larger without end
		go func() {
			for i := range n {
				ahead <- struct{}{}
				b := binary.BigEndian.AppendUint32(nil, uint32(i))
				c.Write(frame(append(b, make([]byte, i%200)...)))
			}
		}()
		for i := range n {
			p := c.read()
			if got := binary.BigEndian.Uint32(p.Body); got != uint32(i) {
				t.Fatalf("packet %d came in place of %d", got, i)
			}
			<-ahead
		}
	})
}

func TestFrameInPieces(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		var link atomic.Pointer[Link]
		h := &hooks{open: func(k *Link) { link.Store(k) }}
		tr := w.start(t, Config{}, h)
		c := w.dial(t, tr)
		c.write(beat)
		eventually(t, "heartbeat", func() bool { return h.packets.Load() == 1 })
		k := link.Load()
		last := func() (at time.Duration) {
			onLoop(t, k.Loop(), func() { at = k.LastReceive() })
			return at
		}
		body := bytes.Repeat([]byte("piecemeal"), 30)
		f := frame(body)
		before := last()
		for i := range f {
			time.Sleep(time.Millisecond)
			c.write(f[i : i+1])
			if i == len(f)/2 && w.carrier != SealedTCP { // whose client waits for the whole frame
				eventually(t, "progress of a partial frame", func() bool { return last() > before })
				if h.packets.Load() != 1 {
					t.Fatal("half a frame was delivered")
				}
			}
		}
		if p := c.read(); !bytes.Equal(p.Body, body) {
			t.Fatalf("frame in pieces came back as %d bytes", len(p.Body))
		}
		// A heartbeat, the end of one frame and the beginning of another at once.
		g := frame(bytes.Repeat([]byte{7}, 3000))
		both := append(append(append([]byte(nil), beat...), f...), g...)
		c.write(both[:len(beat)+len(f)+10])
		time.Sleep(5 * time.Millisecond)
		c.write(both[len(beat)+len(f)+10:])
		if p := c.read(); !bytes.Equal(p.Body, body) {
			t.Fatal("first of two frames differs")
		}
		if p := c.read(); len(p.Body) != 3000 {
			t.Fatal("second of two frames differs")
		}
	})
}

func TestMalformedFrameClosesOnlyItsLink(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		tr := w.start(t, Config{MaxBody: 1000}, h)
		good := w.dial(t, tr)
		good.write(beat)
		good.roundTrip("before")
		bad := []struct {
			name string
			b    []byte
			want error
		}{
			{"too large", binary.AppendUvarint(nil, 1001), codec.ErrTooLarge},
			{"length without end", []byte{0xff, 0xff, 0xff, 0xff, 0xff}, codec.ErrTooLarge},
			{"not the shortest length", []byte{0x80, 0x00, 1, 2, 3, 4, 5, 6, 7, 8}, codec.ErrLengthForm},
			{"unknown kind", []byte{0, 0x7f, 0, 0, 0, 0, 0, 0, 0}, codec.ErrKind},
			{"no body", codec.AppendFrame(nil, codec.Header{Kind: codec.Hello}, nil), codec.ErrNoBody},
			{"heartbeat with body", codec.AppendFrame(nil, codec.Header{}, []byte{1}), codec.ErrBody},
		}
		for i, b := range bad {
			c := w.dial(t, tr)
			c.write(beat)
			c.roundTrip("fine so far")
			c.write(append(frame([]byte("last words")), b.b...))
			eventually(t, "OnClose", func() bool { return h.closed.Load() == int64(i+1) })
			h.mu.Lock()
			err := h.errs[i]
			h.mu.Unlock()
			if !errors.Is(err, b.want) {
				t.Errorf("%s: closed with %v, want %v", b.name, err, b.want)
			}
		}
		good.roundTrip("after")
		if got := tr.Stats().ProtocolErrors; got != uint64(len(bad)) {
			t.Errorf("%d protocol errors counted, want %d", got, len(bad))
		}
	})
}

func TestCloseEndsALinkAtOnce(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		boom := errors.New("boom")
		var inside atomic.Bool
		var after atomic.Int64
		h := &hooks{}
		h.packet = func(k *Link, p codec.Packet) {
			if p.Kind == codec.Heartbeat {
				return
			}
			after.Add(1)
			inside.Store(true)
			k.Close(boom)
			k.Close(errors.New("second"))
			k.Write(beat)
			k.Finish()
			k.ValidateAddress()
			if k.Available() != 0 {
				t.Error("a closed link has room")
			}
			_ = k.Stats()
			inside.Store(false)
		}
		h.close = func(k *Link, err error) {
			if inside.Load() {
				t.Error("OnClose from within Close")
			}
			k.Close(err) // no effect
			k.Write(beat)
		}
		tr := w.start(t, Config{}, h)
		c := w.dial(t, tr)
		c.write(beat)
		// All in one piece: nothing after the first is delivered.
		c.write(bytes.Repeat(frame([]byte("x")), 5))
		if err := h.closedWith(t); err != boom {
			t.Errorf("OnClose(%v), want boom", err)
		}
		time.Sleep(50 * time.Millisecond)
		if after.Load() != 1 || h.closed.Load() != 1 {
			t.Errorf("%d packets and %d OnClose, want 1 and 1", after.Load(), h.closed.Load())
		}
		if w.stream() {
			if _, err := c.next(5 * time.Second); err == nil || errors.Is(err, errTimeout(err)) {
				t.Errorf("the client's read ended with %v, want the end", err)
			}
		}
		if s := tr.Stats(); s.Carriers["plain-kcp"].Open+s.Carriers["tcp"].Open+s.Carriers["ws"].Open != 0 {
			t.Errorf("links still open: %+v", s)
		}
	})
}

// errTimeout returns err if it is a timeout.
func errTimeout(err error) error {
	if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
		return err
	}
	return io.ErrNoProgress
}

func TestFinishDeliversWhatWasWritten(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		h.packet = func(k *Link, p codec.Packet) {
			if p.Kind == codec.Heartbeat {
				return
			}
			for range 10 {
				k.Write(frame(bytes.Repeat([]byte("w"), 3000)))
			}
			k.Finish()
			k.Write(frame([]byte("too late")))
		}
		tr := w.start(t, Config{}, h)
		c := w.dial(t, tr)
		c.write(beat)
		c.write(append(frame([]byte("go")), frame([]byte("not delivered"))...))
		for range 10 {
			if p := c.read(); len(p.Body) != 3000 {
				t.Fatalf("got %d bytes", len(p.Body))
			}
		}
		if w.stream() {
			if _, err := c.next(5 * time.Second); err != io.EOF {
				t.Errorf("after the last frame: %v, want EOF", err)
			}
			c.Close()
		}
		if err := h.closedWith(t); err != ErrFinished {
			t.Errorf("OnClose(%v), want ErrFinished", err)
		}
		if n := h.packets.Load(); n != 2 {
			t.Errorf("%d packets delivered, want the 2 before Finish", n)
		}
	})
}

func TestFinishIsBounded(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		if !w.mem {
			t.Skip("needs a cable to pull")
		}
		h := &hooks{}
		var began time.Duration
		took := make(chan time.Duration, 1)
		h.packet = func(k *Link, p codec.Packet) {
			if p.Kind == codec.Heartbeat {
				return
			}
			began = k.Loop().Now()
			k.Write(frame(make([]byte, 30_000)))
			k.Finish()
		}
		h.close = func(k *Link, err error) { took <- k.Loop().Now() - began }
		tr := w.start(t, Config{}, h)
		c := w.dial(t, tr)
		c.write(append(append([]byte(nil), beat...), frame([]byte("go"))...))
		eventually(t, "the request", func() bool { return h.packets.Load() == 2 })
		c.cut()
		if d := <-took; d < finishTime || d > finishTime+50*time.Millisecond {
			t.Errorf("closed after %v, want %v", d, finishTime)
		}
	})
}

func TestSlowReaderIsHeldBackAndTold(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		const total = 600 // frames of 10 kB: far beyond every buffer on the way
		body := bytes.Repeat([]byte("b"), 10_000)
		f := frame(body)
		h := &hooks{}
		sent, most := 0, 0
		pump := func(k *Link) {
			for sent < total && k.Available() >= len(f) {
				k.Write(f)
				sent++
				most = max(most, k.self.waiting())
			}
		}
		h.packet = func(k *Link, p codec.Packet) {
			if p.Kind != codec.Heartbeat {
				pump(k)
			}
		}
		h.writable = pump
		tr := w.start(t, Config{Loops: 1}, h)
		c := w.dial(t, tr)
		c.write(append(append([]byte(nil), beat...), frame([]byte("go"))...))
		time.Sleep(100 * time.Millisecond) // not reading
		for i := range total {
			if p := c.read(); !bytes.Equal(p.Body, body) {
				t.Fatalf("frame %d differs", i)
			}
		}
		onLoop(t, tr.Loops()[0], func() {}) // sees what the loop wrote
		if h.writables.Load() == 0 {
			t.Error("OnWritable was never called")
		}
		if limit := defaultSendBuffer + codec.DefaultMaxBody + codec.FrameOverhead; most > limit {
			t.Errorf("%d bytes waited, more than %d", most, limit)
		}
	})
}

func TestWritingFarBeyondAvailableCloses(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		h.packet = func(k *Link, p codec.Packet) {
			if p.Kind == codec.Heartbeat {
				return
			}
			if k.Available() < 5000+codec.FrameOverhead {
				t.Error("an empty link has no room for a largest frame")
			}
			for range 100 {
				k.Write(frame(make([]byte, 5000)))
			}
		}
		tr := w.start(t, Config{SendBuffer: 4096, MaxBody: 5000}, h)
		c := w.dial(t, tr)
		c.write(append(append([]byte(nil), beat...), frame([]byte("go"))...))
		if err := h.closedWith(t); err != ErrOverflow {
			t.Errorf("OnClose(%v), want ErrOverflow", err)
		}
	})
}

func TestLargestFramePassesASmallSendBuffer(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		tr := w.start(t, Config{SendBuffer: 1000}, &hooks{})
		c := w.dial(t, tr)
		c.write(beat)
		body := make([]byte, codec.DefaultMaxBody)
		for range 3 {
			go c.Write(frame(body))
			if p := c.read(); len(p.Body) != len(body) {
				t.Fatalf("echo has %d bytes", len(p.Body))
			}
		}
	})
}
