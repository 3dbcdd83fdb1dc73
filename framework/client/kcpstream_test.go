// SPDX-License-Identifier: MIT

package client

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lossySocket is one end of a network in memory that loses every fifth datagram. Guarded by mu.
type lossySocket struct {
	net.PacketConn
	other *lossySocket
	in    chan []byte

	mu     sync.Mutex
	rng    *rand.Rand
	sent   int
	closed bool
}

func lossyPair() (a, b *lossySocket) {
	a = &lossySocket{in: make(chan []byte, 1<<10), rng: rand.New(rand.NewPCG(1, 1))}
	b = &lossySocket{in: make(chan []byte, 1<<10), rng: rand.New(rand.NewPCG(2, 2)), other: a}
	a.other = b
	return a, b
}

func (s *lossySocket) ReadFrom(b []byte) (int, net.Addr, error) {
	d, ok := <-s.in
	if !ok {
		return 0, nil, net.ErrClosed
	}
	return copy(b, d), nil, nil
}

func (s *lossySocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	s.mu.Lock()
	s.sent++
	lost := s.rng.IntN(5) == 0
	s.mu.Unlock()
	if d := bytes.Clone(b); !lost {
		time.AfterFunc(20*time.Millisecond, func() { s.other.arrived(d) })
	}
	return len(b), nil
}

func (s *lossySocket) arrived(d []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.in <- d
	}
}

func (s *lossySocket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	close(s.in)
	return nil
}

func (s *lossySocket) datagrams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// More than the window holds arrives whole through loss, and then nothing is sent and nothing wakes
// up.
func TestKCPStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sa, sb := lossyPair()
		a, b := newKCPStream(sa, nil, 7, 1200, newClock()), newKCPStream(sb, nil, 7, 1200, newClock())
		want := make([]byte, 300<<10)
		for i := range want {
			want[i] = byte(i * 7 / 3)
		}
		go func() {
			if n, err := a.Write(want); n != len(want) || err != nil {
				t.Errorf("wrote %d: %v", n, err)
			}
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("not what was written: %v", err)
		}
		time.Sleep(time.Minute) // the last acknowledgements
		before := sa.datagrams() + sb.datagrams()
		time.Sleep(time.Hour)
		if n := sa.datagrams() + sb.datagrams() - before; n != 0 {
			t.Errorf("%d datagrams in an hour of silence", n)
		}
		go func() { time.Sleep(time.Second); _ = b.Close() }()
		if _, err := b.Read(got); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read ends with %v", err)
		}
		if _, err := b.Write(got); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write ends with %v", err)
		}
		_ = sa.Close()
		if _, err := a.Read(got); !errors.Is(err, net.ErrClosed) {
			t.Errorf("without its socket Read ends with %v", err)
		}
		_ = sb.Close()
	})
}
