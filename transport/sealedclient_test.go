// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/kcptest"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
	kcpgo "github.com/xtaci/kcp-go/v5"
)

// sealedSocket makes a client's datagram socket one whose datagrams are sealed,
// for a stock KCP on top of it. Guarded by mu.
type sealedSocket struct {
	net.PacketConn
	to net.Addr

	mu      sync.Mutex
	link    *seal.Accepted
	sent    [][]byte // every datagram, as it went out
	frames  []byte   // unreliable ones for the next datagram
	beside  []byte   // unreliable ones that came
	resets  int
	largest int  // of the datagrams that came
	deaf    bool // to challenges
	closed  bool
}

// shake opens a sealed link over pc.
func shake(pc net.PacketConn, to net.Addr, i *seal.Initiator) (*sealedSocket, error) {
	s := &sealedSocket{PacketConn: pc, to: to}
	buf := make([]byte, 2048)
	for range 12 {
		if _, err := pc.WriteTo(i.Hello(), to); err != nil {
			return nil, err
		}
		pc.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		for {
			n, _, err := pc.ReadFrom(buf)
			if err != nil {
				break
			}
			link, again, err := i.Handle(buf[:n])
			if link != nil {
				pc.SetReadDeadline(time.Time{})
				s.link = link
				return s, nil
			}
			if err == nil && again {
				break
			}
		}
	}
	return nil, errors.New("no answer to the handshake")
}

// serverKey returns what clients of tr must know.
func serverKey(tr *Transport) seal.PublicKey {
	key, err := seal.ParsePublicKey(tr.PublicKey())
	if err != nil {
		panic(err)
	}
	return key
}

func newInitiator(tr *Transport) *seal.Initiator {
	i, err := seal.NewInitiator(serverKey(tr), rand.Reader)
	if err != nil {
		panic(err)
	}
	return i
}

// initiatorFor knows the key of a testLoop.
func initiatorFor(l *Loop) *seal.Initiator {
	i, err := seal.NewInitiator(l.t.keys[0].Public(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return i
}

// WriteTo seals what KCP sends.
func (s *sealedSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(b), s.sendLocked(seal.TypeSealed, append(seal.AppendPayload(nil, s.frames), b...))
}

func (s *sealedSocket) sendLocked(t seal.PacketType, plain []byte) error {
	if t == seal.TypeSealed {
		s.frames = nil
	}
	b := append(make([]byte, seal.HeaderSize, len(plain)+seal.Overhead), plain...)
	b, err := s.link.Conn.Seal(b, t)
	if err != nil {
		return err
	}
	s.sent = append(s.sent, bytes.Clone(b))
	_, err = s.PacketConn.WriteTo(b, s.to)
	return err
}

// sendBeside sends an unreliable frame at once.
func (s *sealedSocket) sendBeside(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sendLocked(seal.TypeSealed, seal.AppendPayload(nil, frame))
}

func (s *sealedSocket) control(c seal.Control) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sendLocked(seal.TypeControl, c.Append(nil, 0))
}

// ReadFrom returns what is for KCP.
func (s *sealedSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	buf := make([]byte, 2048)
	for {
		n, _, err := s.PacketConn.ReadFrom(buf)
		if err != nil {
			return 0, nil, err
		}
		if segments := s.take(buf[:n]); len(segments) > 0 {
			return copy(b, segments), s.to, nil
		}
	}
}

func (s *sealedSocket) take(b []byte) (segments []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, t, ok := seal.Parse(b)
	if ok && t == seal.TypeReset && id == s.link.Conn.ID() {
		s.resets++
	}
	if !ok || id != s.link.Conn.ID() || t == seal.TypeReset {
		return nil
	}
	s.largest = max(s.largest, len(b))
	o, err := s.link.Conn.Open(b)
	if err != nil {
		return nil
	}
	if t == seal.TypeControl {
		switch c, _ := seal.ParseControl(o.Plain); c.Kind {
		case seal.ControlChallenge:
			if !s.deaf {
				s.sendLocked(seal.TypeControl, seal.Control{Kind: seal.ControlResponse, Token: c.Token}.Append(nil, 0))
			}
		case seal.ControlClose:
			s.closed = true
		}
		return nil
	}
	frames, segments, _ := seal.SplitPayload(o.Plain)
	s.beside = append(s.beside, frames...)
	return segments
}

func (s *sealedSocket) look(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// LocalAddr names the socket below.
func (s *sealedSocket) LocalAddr() net.Addr { return s.PacketConn.LocalAddr() }

// dialSealed opens a link and puts a stock KCP on it.
func (w *world) dialSealed(tr *Transport) (net.Conn, *sealedSocket, error) {
	return w.dialWith(tr, newInitiator(tr))
}

func (w *world) dialWith(tr *Transport, i *seal.Initiator) (net.Conn, *sealedSocket, error) {
	var pc net.PacketConn
	var err error
	addr := tr.Addr(KCP)
	if w.mem {
		pc, err = w.net.ListenPacket()
	} else {
		pc, err = net.ListenUDP("udp", nil)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := shake(pc, net.UDPAddrFromAddrPort(addr), i)
	if err != nil {
		pc.Close()
		return nil, nil, err
	}
	if w.mem {
		c := kcptest.Dial(s, s.to, s.link.Conn.ID())
		c.SetMTU(sealedCut)
		return c, s, nil
	}
	u, err := kcpgo.NewConn4(s.link.Conn.ID(), s.to, nil, 0, 0, true, s)
	if err != nil {
		pc.Close()
		return nil, nil, fmt.Errorf("kcp-go: %w", err)
	}
	u.SetMtu(sealedCut)
	return u, s, nil
}

// movingSocket is a datagram socket whose address changes. Guarded by mu.
type movingSocket struct {
	net.PacketConn // never used: what it has not is not needed

	open func() (net.PacketConn, error)
	mu   sync.Mutex
	pc   net.PacketConn
	end  bool
}

func newMovingSocket(open func() (net.PacketConn, error)) (*movingSocket, error) {
	pc, err := open()
	return &movingSocket{open: open, pc: pc}, err
}

// move gives the socket another address. What was on its way to the old one is lost.
func (m *movingSocket) move() error {
	pc, err := m.open()
	if err != nil {
		return err
	}
	m.mu.Lock()
	old := m.pc
	m.pc = pc
	m.mu.Unlock()
	return old.Close()
}

func (m *movingSocket) now() (net.PacketConn, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pc, m.end
}

func (m *movingSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		pc, _ := m.now()
		n, from, err := pc.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			if next, end := m.now(); next != pc && !end {
				continue
			}
			return 0, nil, io.EOF
		}
		return n, from, err
	}
}

func (m *movingSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	pc, _ := m.now()
	return pc.WriteTo(b, to)
}

func (m *movingSocket) Close() error {
	m.mu.Lock()
	m.end = true
	pc := m.pc
	m.mu.Unlock()
	return pc.Close()
}

func (m *movingSocket) LocalAddr() net.Addr {
	pc, _ := m.now()
	return pc.LocalAddr()
}

func (m *movingSocket) SetDeadline(t time.Time) error    { return m.SetReadDeadline(t) }
func (m *movingSocket) SetWriteDeadline(time.Time) error { return nil }
func (m *movingSocket) SetReadDeadline(t time.Time) error {
	pc, _ := m.now()
	return pc.SetReadDeadline(t)
}

func (m *movingSocket) addr() netip.AddrPort {
	a := m.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// sealedWorld is a server of sealed KCP on a network in memory.
func sealedWorld(t *testing.T, c memnet.Conditions, cfg Config, h Handler) (*world, *Transport) {
	w := &world{carrier: KCP, mem: true, net: memnet.New(7, c)}
	return w, w.start(t, cfg, h)
}
