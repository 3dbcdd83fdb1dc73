// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/seal"
)

const (
	sealedMTU = seal.MaxDatagram - seal.Overhead - 1 // what a datagram leaves for KCP
	moveEvery = 500 * time.Millisecond               // at most, when sockets fail
)

// errReset ends a link that the server does not know any more: it was started
// anew.
var errReset = errors.New("client: the server does not know the link any more")

// sealedConn is frames on the stream of a stock KCP session whose datagrams
// are sealed: transport/seal/SPEC.
type sealedConn struct {
	kcpConn
	s *sealed
}

// openSealed opens a sealed link: with the session's seal key if it has one,
// with the server's public key otherwise, or if that is not answered.
func (d *dialer) openSealed(ctx context.Context, hostport string, r resumption) (conn, error) {
	return dialPlaces(ctx, &d.names, "udp", hostport, func(ctx context.Context, a netip.AddrPort, _ bool) (conn, error) {
		return d.openSealedAt(ctx, a, r)
	}, conn.close)
}

func (d *dialer) openSealedAt(ctx context.Context, addr netip.AddrPort, r resumption) (conn, error) {
	pc, err := d.cfg.listen()
	if err != nil {
		return nil, err
	}
	s := &sealed{listen: d.cfg.listen, pc: pc, peer: newPeer(addr), clock: d.clock}
	link, err := s.shake(ctx, d.initiators(r))
	if err != nil {
		_ = s.pc.Close()
		return nil, err
	}
	if len(link.Greeting) != 1 {
		_ = s.pc.Close()
		return nil, session.ErrControl
	}
	s.conn, s.nonce, s.version = link.Conn, link.Nonce, link.Greeting[0]
	p := &pipe{PacketConn: s, peer: s.peer, conv: link.Conn.ID(), clock: d.clock, flushed: make(chan struct{})}
	k := d.speakKCP(p, sealedMTU)
	s.mu.Lock()
	s.broke = k.Conn.Close
	s.mu.Unlock()
	return &sealedConn{*k, s}, nil
}

// initiators begin the handshakes to try, the cheap one first: one that is not
// needed costs no public-key operation.
func (d *dialer) initiators(r resumption) (list []func() (*seal.Initiator, error)) {
	if r.ok {
		list = append(list, func() (*seal.Initiator, error) { return seal.NewResumer(r.id, r.key, d.random) })
	}
	return append(list, func() (*seal.Initiator, error) { return seal.NewInitiator(d.serverKey, d.random) })
}

func (k *sealedConn) Read(b []byte) (int, error) {
	n, err := k.kcpConn.Read(b)
	if err != nil {
		if why := k.s.why(); why != nil {
			err = why
		}
	}
	return n, err
}

func (k *sealedConn) lastIn() time.Duration { return time.Duration(k.s.in.Load()) }

// cut makes the socket silent, so that close says no goodbye.
func (k *sealedConn) cut() (audible bool) {
	k.s.silence()
	return k.kcpConn.cut()
}

// sealed is a datagram socket whose datagrams are sealed, for a stock KCP on
// top of it, and whose own address may change below it.
type sealed struct {
	listen  func() (net.PacketConn, error)
	peer    *peer
	clock   *clock
	nonce   session.Nonce
	version uint8
	in      atomic.Int64 // when the last authentic datagram came
	buf     [2048]byte   // the reader's

	mu     sync.Mutex // guards the rest
	pc     net.PacketConn
	moved  time.Duration
	conn   seal.Conn
	doubt  seal.ResetDetector
	out    [seal.MaxDatagram]byte
	silent bool
	closed bool
	err    error
	broke  func() error                       // ends the KCP above
	frames func(number uint64, frames []byte) // takes those of datagrams
}

// LocalAddr returns the socket's present address.
func (s *sealed) LocalAddr() net.Addr { return s.socket().LocalAddr() }

// SetDeadline has no use here: KCP above keeps the time.
func (s *sealed) SetDeadline(time.Time) error { return nil }

// SetReadDeadline has no use here.
func (s *sealed) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline has no use here.
func (s *sealed) SetWriteDeadline(time.Time) error { return nil }

func (s *sealed) socket() net.PacketConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pc
}

func (s *sealed) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *sealed) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// shake sends hellos until one is answered.
func (s *sealed) shake(ctx context.Context, begin []func() (*seal.Initiator, error)) (*seal.Accepted, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.pc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	d := seal.NewDialing(s.clock.now(), begin...)
	for {
		hellos, err := d.Hellos(s.clock.now())
		if err != nil {
			return nil, err
		}
		for _, b := range hellos {
			if err := s.plain(b); err != nil {
				return nil, err
			}
		}
		_ = s.pc.SetReadDeadline(s.clock.wall(d.Due()))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		link, err := s.answer(d)
		if link != nil {
			if !stop() {
				return nil, ctx.Err()
			}
			return link, s.pc.SetReadDeadline(time.Time{})
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
	}
}

// answer reads until a hello is accepted. What is not an answer is somebody
// else's doing.
func (s *sealed) answer(d *seal.Dialing) (*seal.Accepted, error) {
	for {
		n, from, err := s.pc.ReadFrom(s.buf[:])
		if err != nil {
			return nil, err
		}
		if sourceOf(from) != s.peer.at {
			continue
		}
		link, again := d.Handle(s.buf[:n])
		if link != nil {
			return link, nil
		}
		if again != nil {
			if err := s.plain(again); err != nil {
				return nil, err
			}
		}
	}
}

// plain sends a datagram of the handshake.
func (s *sealed) plain(b []byte) error {
	_, err := s.pc.WriteTo(b, s.peer.UDPAddr)
	if lossy(err) {
		return nil
	}
	return err
}

// WriteTo seals what KCP sends. A socket that fails is replaced, as after a
// change of the network; what it did not take is lost, as datagrams are.
func (s *sealed) WriteTo(b []byte, _ net.Addr) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(b), s.sendLocked(seal.TypeSealed, nil, b)
}

func (s *sealed) sendLocked(t seal.PacketType, frames, rest []byte) error {
	switch {
	case s.err != nil:
		return s.err
	case s.closed:
		return net.ErrClosed
	case s.silent:
		return nil
	}
	b := s.out[:seal.HeaderSize]
	if t == seal.TypeSealed {
		b = seal.AppendPayload(b, frames)
	}
	if len(b)+len(rest)+seal.TagSize > len(s.out) {
		return nil // KCP was told how much fits
	}
	b, err := s.conn.Seal(append(b, rest...), t)
	if err != nil {
		s.failLocked(err)
		return err
	}
	s.doubt.Sent(b)
	if _, err := s.pc.WriteTo(b, s.peer.UDPAddr); err != nil && !lossy(err) {
		s.moveLocked(false)
	}
	return nil
}

// sendDatagram sends one frame outside of the stream, once. It reports false if
// the frame does not fit into a datagram.
func (s *sealed) sendDatagram(frame []byte) bool {
	if len(frame) > sealedMTU-1 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.sendLocked(seal.TypeSealed, frame, nil)
	return true
}

// move gives the socket another local address and tells the server so.
func (s *sealed) move() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.err == nil {
		s.moveLocked(true)
	}
}

// moveLocked replaces the socket. Unasked it does so rarely: without a network
// every socket fails.
func (s *sealed) moveLocked(asked bool) {
	now := s.clock.now()
	if !asked && now-s.moved < moveEvery {
		return
	}
	s.moved = now
	pc, err := s.listen()
	if err != nil {
		return
	}
	old := s.pc
	s.pc = pc
	_ = old.Close() // its reader goes on with the new one
	if asked {
		_ = s.sendLocked(seal.TypeSealed, nil, nil) // says where we are
	}
}

// ReadFrom returns what is for KCP, and does everything else that datagrams
// ask for.
func (s *sealed) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		pc := s.socket()
		n, _, err := pc.ReadFrom(s.buf[:])
		if err != nil {
			if err := s.readFailed(pc, err); err != nil {
				return 0, nil, err
			}
			continue
		}
		segments, err := s.take(s.buf[:n])
		if err != nil {
			return 0, nil, err
		}
		if len(segments) > 0 {
			return copy(b, segments), s.peer.UDPAddr, nil
		}
	}
}

// readFailed decides what becomes of a socket that can't be read: nothing if
// another has taken its place, or if it only woke us to look at a doubt.
func (s *sealed) readFailed(pc net.PacketConn, err error) error {
	s.mu.Lock()
	if s.err == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		lost, due := s.doubt.Lost(s.clock.now())
		switch {
		case lost:
			s.failLocked(errReset)
		case due == 0:
			_ = s.pc.SetReadDeadline(time.Time{})
		default:
			_ = s.pc.SetReadDeadline(s.clock.wall(due))
		}
	}
	ended, same := s.err != nil || s.closed, s.pc == pc
	if ended && s.err != nil {
		err = s.err
	}
	s.mu.Unlock()
	switch {
	case ended:
		return err
	case same && !errors.Is(err, os.ErrDeadlineExceeded):
		time.Sleep(moveEvery) // perhaps there is no network at all
		s.mu.Lock()
		if s.pc == pc && !s.closed {
			s.moveLocked(false)
		}
		s.mu.Unlock()
	}
	return nil
}

// take opens a datagram.
func (s *sealed) take(b []byte) (segments []byte, err error) {
	id, t, ok := seal.Parse(b)
	s.mu.Lock()
	switch {
	case s.err != nil || s.closed:
		err = s.err
		s.mu.Unlock()
		if err == nil {
			err = net.ErrClosed
		}
		return nil, err
	case !ok || id != s.conn.ID() || s.silent:
		s.mu.Unlock()
		return nil, nil
	case t == seal.TypeReset:
		s.doubtLocked(b)
		s.mu.Unlock()
		return nil, nil
	}
	o, err := s.conn.Open(b)
	if err != nil {
		s.mu.Unlock()
		return nil, nil // somebody else's, or repeated by the network
	}
	s.doubt.Received()
	s.in.Store(int64(s.clock.now()))
	if t == seal.TypeControl {
		err = s.controlLocked(o.Plain)
		s.mu.Unlock()
		return nil, err
	}
	datagram := s.frames
	s.mu.Unlock()
	frames, segments, err := seal.SplitPayload(o.Plain)
	if err != nil {
		return nil, nil
	}
	if len(frames) > 0 && datagram != nil {
		datagram(o.Number, frames)
	}
	return segments, nil
}

// doubtLocked asks the server whether a reset is true: anybody who sees our
// datagrams can make one.
func (s *sealed) doubtLocked(reset []byte) {
	now := s.clock.now()
	ask, err := s.doubt.Reset(now, reset)
	if err != nil || !ask {
		return
	}
	c := seal.Control{Kind: seal.ControlChallenge}
	_, _ = rand.Read(c.Token[:])
	_ = s.sendLocked(seal.TypeControl, nil, c.Append(nil, 0))
	_, due := s.doubt.Lost(now)
	_ = s.pc.SetReadDeadline(s.clock.wall(due))
}

func (s *sealed) controlLocked(plain []byte) error {
	c, err := seal.ParseControl(plain)
	if err != nil {
		return nil
	}
	switch c.Kind {
	case seal.ControlChallenge:
		c.Kind = seal.ControlResponse
		_ = s.sendLocked(seal.TypeControl, nil, c.Append(nil, 0))
	case seal.ControlClose:
		s.failLocked(io.EOF)
		return io.EOF
	}
	return nil
}

// failLocked ends the link. KCP above is told from a goroutine of its own,
// which ends at once: it may be what called us.
func (s *sealed) failLocked(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	if s.broke != nil {
		go s.broke()
	}
	_ = s.pc.Close()
}

// Close says goodbye, several times as it has no answer, and closes the
// socket after the last.
func (s *sealed) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.err != nil || s.silent {
		s.closed = true
		return s.pc.Close()
	}
	goodbye, err := s.conn.Seal(seal.Control{Kind: seal.ControlClose}.Append(s.out[:seal.HeaderSize], 0), seal.TypeControl)
	s.closed = true
	if err != nil {
		return s.pc.Close()
	}
	s.bye(slices.Clone(goodbye), seal.CloseCopies)
	return nil
}

// bye sends the copies that are left. Nothing else uses the socket any more.
func (s *sealed) bye(b []byte, left int) {
	if left == 0 {
		_ = s.pc.Close()
		return
	}
	_, _ = s.pc.WriteTo(b, s.peer.UDPAddr)
	time.AfterFunc(seal.CloseEvery, func() { s.bye(b, left-1) })
}
