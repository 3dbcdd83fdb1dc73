// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// stcpServer runs test with an in-memory server of sealed TCP and a way to dial it.
func stcpServer(t *testing.T, cfg Config, test func(t *testing.T, tr *Transport, h *hooks, dial func() net.Conn)) {
	bubble(t, func(t *testing.T) {
		w := world{carrier: SealedTCP, mem: true, net: memnet.New(1, memnet.Conditions{Delay: 5 * time.Millisecond})}
		h := &hooks{}
		tr := w.start(t, cfg, h)
		test(t, tr, h, func() net.Conn {
			c, err := w.net.DialTCP(context.Background(), tr.Addr(SealedTCP))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		})
	})
}

// ended reads until the server closes.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the server did not close: %v", err)
	}
}

// TestStcpRefusesStrangers at their first bytes, and tells them nothing.
func TestStcpRefusesStrangers(t *testing.T) {
	for name, first := range map[string][]byte{
		"HTTP":      []byte("GET / HTTP/1.1\r\n"),
		"TLS":       {0x16, 3, 1, 2, 0},
		"frames":    beat,
		"another 1": {0, 0, 0, 0, byte(seal.TypeAccept)},
	} {
		stcpServer(t, Config{}, func(t *testing.T, tr *Transport, h *hooks, dial func() net.Conn) {
			c := dial()
			_, _ = c.Write(first)
			began := time.Now()
			ended(t, c)
			if took := time.Since(began); took > time.Second || h.opened.Load() != 0 {
				t.Errorf("%s: closed after %v, %d links", name, took, h.opened.Load())
			}
			if s := tr.Stats(); s.Handshakes.Malformed != 1 || s.Handshakes.PublicKey != 0 || s.Arriving != 0 {
				t.Errorf("%s: %+v", name, s.Handshakes)
			}
		})
	}
}

// TestStcpWrongKeyIsRefused without an answer.
func TestStcpWrongKeyIsRefused(t *testing.T) {
	stcpServer(t, Config{}, func(t *testing.T, tr *Transport, h *hooks, dial func() net.Conn) {
		other, err := seal.NewKey(zeros{})
		if err != nil {
			t.Fatal(err)
		}
		if c := newStcpConn(dial(), other.Public().String(), 1000); !errors.Is(c.failed, io.EOF) {
			t.Errorf("answered with %v", c.failed)
		}
		if s := tr.Stats(); s.Handshakes.WrongKey != 1 || h.opened.Load() != 0 {
			t.Errorf("%+v", s.Handshakes)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestStcpMachineInTheMiddle changes, repeats or swaps records: nothing of them is
// delivered, and the link ends.
func TestStcpMachineInTheMiddle(t *testing.T) {
	for name, meddle := range map[string]func(c *stcpConn, one, two []byte) []byte{
		"changes":  func(_ *stcpConn, one, _ []byte) []byte { one[len(one)-20] ^= 1; return one },
		"repeats":  func(_ *stcpConn, one, _ []byte) []byte { return append(one, one...) },
		"swaps":    func(_ *stcpConn, one, two []byte) []byte { return append(two, one...) },
		"leaves":   func(_ *stcpConn, _, two []byte) []byte { return two },
		"lengthen": func(_ *stcpConn, one, _ []byte) []byte { one[2] = 0xff; return one },
		"no frame": func(c *stcpConn, _, _ []byte) []byte { return c.record(bytes.Repeat([]byte{0xff}, 40)) },
		"half a frame": func(c *stcpConn, _, _ []byte) []byte {
			f := frame(make([]byte, 100))
			return c.record(f[:50])
		},
	} {
		stcpServer(t, Config{}, func(t *testing.T, tr *Transport, h *hooks, dial func() net.Conn) {
			c := newStcpConn(dial(), tr.PublicKey(), 1000)
			if c.failed != nil {
				t.Fatal(c.failed)
			}
			if name == "half a frame" || name == "no frame" {
				_, _ = c.Conn.Write(meddle(c, nil, nil))
			} else {
				one, two := c.record(frame([]byte("one"))), c.record(frame([]byte("two")))
				_, _ = c.Conn.Write(meddle(c, one, two))
			}
			ended(t, c.Conn)
			most := int64(0)
			if name == "repeats" {
				most = 1 // the first is what the client sent
			}
			if got := h.packets.Load(); got != most || h.closed.Load() != 1 {
				t.Errorf("%s: %d packets, %d links closed", name, got, h.closed.Load())
			}
		})
	}
}

// record seals frames, or what is none.
func (c *stcpConn) record(frames []byte) []byte {
	return c.sealer.Seal(append(make([]byte, seal.RecordHead, len(frames)+seal.RecordOverhead), frames...))
}

// TestStcpRecordInPieces is progress with each byte, and one packet at its end.
func TestStcpRecordInPieces(t *testing.T) {
	stcpServer(t, Config{Loops: 1}, func(t *testing.T, tr *Transport, h *hooks, dial func() net.Conn) {
		c := newStcpConn(dial(), tr.PublicKey(), 100_000)
		b := c.record(append(frame(make([]byte, 3000)), beat...))
		last := time.Duration(0)
		for i := range b {
			time.Sleep(time.Millisecond)
			_, _ = c.Conn.Write(b[i : i+1])
			if i == len(b)/2 {
				time.Sleep(20 * time.Millisecond)
				onLoop(t, tr.loops[0], func() { last = tr.loops[0].streams[0].LastReceive() })
				if last == 0 || h.packets.Load() != 0 {
					t.Errorf("half of it: %d packets, last received at %v", h.packets.Load(), last)
				}
			}
		}
		eventually(t, "two packets", func() bool { return h.packets.Load() == 2 })
	})
}

// TestStcpRecordsFitTheirReader: what a batch writes is cut into records of whole
// frames and 64 KiB, and a larger frame goes alone.
func TestStcpRecordsFitTheirReader(t *testing.T) {
	var records [][]byte
	k := &stcpLink{}
	k.loop, _ = testLoop(Config{}, &hooks{})
	client, server := streamPair(t)
	k.seal = server
	var want []byte
	for _, sizes := range [][]int{{10, 20}, {60_000, 10_000}, {200_000}, {5}, {40_000, 40_000, 40_000}} {
		var frames []byte
		for _, n := range sizes {
			frames = append(frames, frame(make([]byte, n))...)
		}
		want = append(want, frames...)
		k.write(frames)
	}
	out := k.pack(k.out)
	var got []byte
	for len(out) > 0 {
		size, err := seal.RecordSize(out, 200_000+codec.FrameOverhead)
		if err != nil || size > len(out) {
			t.Fatal(size, err)
		}
		plain, err := client.Open(out[:size])
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, plain)
		got = append(got, plain...)
		out = out[size:]
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes of frames became %d", len(want), len(got))
	}
	for i, r := range records {
		if len(r) <= minMessage {
			continue
		}
		if size, err := codec.FrameSize(r, 1<<20); err != nil || size != len(r) {
			t.Errorf("record %d has %d bytes and is not one frame", i, len(r))
		}
	}
	if len(records) != 6 {
		t.Errorf("%d records", len(records))
	}
}

// streamPair is the two ends of a stream.
func streamPair(t *testing.T) (client, server seal.Stream) {
	t.Helper()
	key, err := seal.NewKey(zeros{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := seal.NewResponder(seal.Config{Keys: []seal.Key{key}, IDs: noIDs{}})
	if err != nil {
		t.Fatal(err)
	}
	i, err := seal.NewStreamInitiator(key.Public(), zeros{})
	if err != nil {
		t.Fatal(err)
	}
	s, answer, err := r.AcceptStream(0, netip.MustParseAddr("192.0.2.1"), i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := i.Accept(answer)
	if err != nil {
		t.Fatal(err)
	}
	return c.Stream, s.Stream
}

// TestPartialRecordsAreBoundedTogether as partial frames are: T19.
func TestPartialRecordsAreBoundedTogether(t *testing.T) {
	const players, limit = 30, 1 << 20
	stcpServer(t, Config{Loops: 1, ReceiveBytes: limit}, func(t *testing.T, tr *Transport, h *hooks, dial func() net.Conn) {
		for range players {
			c := newStcpConn(dial(), tr.PublicKey(), 100_000)
			b := c.record(frame(make([]byte, 60_000)))
			_, _ = c.Conn.Write(b[:len(b)-1])
		}
		time.Sleep(time.Second)
		onLoop(t, tr.loops[0], func() {
			p := &tr.loops[0].partials
			if p.bytes > limit || len(p.at)+int(h.closed.Load()) != players || len(p.at) < limit/60_100-1 {
				t.Errorf("%d links hold %d bytes, %d are closed", len(p.at), p.bytes, h.closed.Load())
			}
		})
	})
}

// TestStcpPathDoesNotAllocate: a record in, one out.
func TestStcpPathDoesNotAllocate(t *testing.T) {
	l, _ := testLoop(Config{SealedTCP: "x"}, &echoHandler{})
	client, server := streamPair(t)
	s := &fakeStream{}
	k := &stcpLink{seal: server}
	k.self, k.loop, k.carrier, k.stream, k.lookAt, k.state = k, l, SealedTCP, s, Never, stateValidated|stateOpened
	l.streams = append(l.streams, &k.streamLink)
	frames := frame(bytes.Repeat([]byte("m"), 64))
	record := make([]byte, 0, 1024)
	run := func() {
		s.in = client.Seal(append(record[:seal.RecordHead], frames...))
		k.Data(s)
	}
	run()
	if got := testing.AllocsPerRun(100, run); got != 0 {
		t.Errorf("%v allocations for a record in and one out", got)
	}
	if s.written == 0 {
		t.Error("nothing was answered")
	}
}
