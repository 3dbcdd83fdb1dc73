// SPDX-License-Identifier: MIT

package client

import (
	"net"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

// kcpStream is a KCP conversation on a socket, as a net.Conn. It sleeps while nothing is due:
// one goroutine reads the socket, one timer waits for what is to be sent again. Its memory is that
// of what is on the way.
type kcpStream struct {
	pc    net.PacketConn
	to    net.Addr
	clock *clock

	mu    sync.Mutex // guards the rest
	kcp   kcp.Conn
	cfg   kcp.Config
	timer *time.Timer
	armed time.Duration // when the timer fires, session.Never: it does not
	err   error         // why Read and Write have ended
	came  sync.Cond     // there is something to read, or err
	room  sync.Cond     // there is room to write, or err
}

// newKCPStream begins conversation conv with to on pc, in datagrams of at most mtu bytes. Close ends
// the conversation and leaves the socket to its owner.
func newKCPStream(pc net.PacketConn, to net.Addr, conv uint32, mtu int, k *clock) *kcpStream {
	s := &kcpStream{
		pc: pc, to: to, clock: k, armed: session.Never,
		// The session finds out by itself when the peer is dead.
		cfg: kcp.Config{Cut: mtu, SendWindow: kcpWindow, RecvWindow: kcpWindow, StallTimeout: -1},
	}
	s.came.L, s.room.L = &s.mu, &s.mu
	s.kcp.Init(conv, &s.cfg)
	go s.receive() // ends with the socket
	return s
}

// receive reads the socket for as long as it lasts.
func (s *kcpStream) receive() {
	buf := make([]byte, maxKCPDatagram)
	for {
		n, _, err := s.pc.ReadFrom(buf)
		s.mu.Lock()
		if err == nil {
			err = s.err
		}
		if err != nil {
			s.endLocked(err)
			s.mu.Unlock()
			return
		}
		// What is no segment of the conversation is somebody else's: the pipe has counted it.
		if s.kcp.Input(s.clock.now(), buf[:n]) == nil {
			s.flushLocked()
			if len(s.kcp.Peek()) > 0 {
				s.came.Signal()
			}
			s.room.Signal()
		}
		s.mu.Unlock()
	}
}

// maxKCPDatagram is the longest datagram that a stock client or server sends.
const maxKCPDatagram = 1500

// outs are what datagrams are put together in.
var outs = sync.Pool{New: func() any { return new([maxKCPDatagram]byte) }}

// flushLocked sends what is due, and sets the timer for what will be.
func (s *kcpStream) flushLocked() {
	now := s.clock.now()
	out := outs.Get().(*[maxKCPDatagram]byte)
	defer outs.Put(out)
	for s.err == nil {
		b := s.kcp.Output(now, out[:0], len(out))
		if len(b) == 0 {
			break
		}
		if _, err := s.pc.WriteTo(b, s.to); err != nil {
			s.endLocked(err)
			return
		}
	}
	if due := s.kcp.NextDeadline(now); due < s.armed {
		s.armed = due
		wait := max(s.clock.real(due-now), 1)
		if s.timer == nil {
			s.timer = time.AfterFunc(wait, s.tick)
		} else {
			s.timer.Reset(wait)
		}
	}
}

// tick sends what is due by now.
func (s *kcpStream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = session.Never
	if s.err == nil {
		s.flushLocked()
	}
}

// endLocked ends Read and Write, and gives the memory back.
func (s *kcpStream) endLocked(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	if s.timer != nil {
		s.timer.Stop()
	}
	s.kcp.Release()
	s.came.Broadcast()
	s.room.Broadcast()
}

// Read implements net.Conn.
func (s *kcpStream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil {
		if got := s.kcp.Peek(); len(got) > 0 {
			n := copy(b, got)
			s.kcp.Discard(n)
			s.flushLocked() // the window may be news
			return n, nil
		}
		s.came.Wait()
	}
	return 0, s.err
}

// Write implements net.Conn.
func (s *kcpStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for left := b; len(left) > 0; {
		for s.err == nil && s.kcp.Room() == 0 {
			s.room.Wait()
		}
		if s.err != nil {
			return len(b) - len(left), s.err
		}
		n := min(len(left), s.kcp.Room())
		if err := s.kcp.Write(left[:n]); err != nil {
			return len(b) - len(left), err
		}
		left = left[n:]
		s.flushLocked()
	}
	return len(b), nil
}

// Close sends what may leave by now, and ends Read and Write.
func (s *kcpStream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.flushLocked()
	}
	s.endLocked(net.ErrClosed)
	return nil
}

// LocalAddr implements net.Conn.
func (s *kcpStream) LocalAddr() net.Addr { return s.pc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *kcpStream) RemoteAddr() net.Addr { return s.to }

// SetDeadline implements net.Conn. There is none: Close ends Read and Write.
func (s *kcpStream) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *kcpStream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *kcpStream) SetWriteDeadline(time.Time) error { return nil }
