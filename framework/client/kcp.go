// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/seal"
)

const (
	kcpMTU    = 1200 // passes every path that carries IPv6 with a tunnel around it
	kcpWindow = 128  // segments
)

// kcpConn is frames on the stream of a KCP conversation. That adds a goroutine, which
// ends with it.
type kcpConn struct {
	net.Conn // the conversation
	pipe     *pipe
}

func (d *dialer) openKCP(ctx context.Context, hostport string, conv uint32) (conn, error) {
	if d.cfg.Dial != nil && (d.cfg.ListenPacket == nil || d.cfg.KCP != nil) {
		return d.openTCP(ctx, "plain-kcp", hostport)
	}
	return dialPlaces(ctx, &d.names, "udp", hostport, func(ctx context.Context, a netip.AddrPort, others bool) (conn, error) {
		k, err := d.openKCPAt(ctx, a, conv)
		if err != nil {
			return nil, err
		}
		if others {
			err = k.knock(ctx)
		}
		if err != nil {
			k.close()
			return nil, err
		}
		return k, nil
	}, conn.close)
}

func (d *dialer) openKCPAt(ctx context.Context, a netip.AddrPort, conv uint32) (*kcpConn, error) {
	p, err := d.openPipe(ctx, a)
	if err != nil {
		return nil, err
	}
	p.conv, p.clock, p.flushed, p.sign = conv, d.clock, make(chan struct{}), make(chan struct{})
	p.doubt = new(seal.ResetDetector)
	return d.speakKCP(p, kcpMTU), nil
}

// knock waits until anything comes back. On plain KCP that needs a heartbeat:
// session/SPEC 2.2.
func (k *kcpConn) knock(ctx context.Context) error {
	if _, err := k.Write(codec.AppendFrame(nil, codec.Header{Kind: codec.Heartbeat}, nil)); err != nil {
		return err
	}
	select {
	case <-k.pipe.sign:
		return k.pipe.readErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// speakKCP begins a KCP session on a pipe.
func (d *dialer) speakKCP(p *pipe, mtu int) *kcpConn {
	p.mtu = mtu
	if d.cfg.KCP != nil {
		p.repeats = new(kcp.Repeater)
		return &kcpConn{d.cfg.KCP(p, p.peer, p.conv, mtu), p}
	}
	return &kcpConn{newKCPStream(p, p.peer, p.conv, mtu, d.clock), p}
}

// openPipe makes the socket. The system's is connected: the kernel drops what
// others send, and tells when nothing listens there.
func (d *dialer) openPipe(ctx context.Context, a netip.AddrPort) (*pipe, error) {
	if d.cfg.ListenPacket == nil {
		nc, err := new(net.Dialer).DialContext(ctx, "udp", a.String())
		if err != nil {
			return nil, err
		}
		u := nc.(*net.UDPConn)
		return &pipe{PacketConn: u, connected: u, peer: newPeer(u.RemoteAddr().(*net.UDPAddr).AddrPort())}, nil
	}
	pc, err := d.cfg.ListenPacket()
	if err != nil {
		return nil, err
	}
	return &pipe{PacketConn: pc, peer: newPeer(a)}, nil
}

// Write counts what has to be acknowledged before a flush is over.
func (k *kcpConn) Write(b []byte) (int, error) {
	k.pipe.expect(len(b), false)
	return k.Conn.Write(b)
}

func (k *kcpConn) lastIn() time.Duration { return time.Duration(k.pipe.in.Load()) }

// part sends the datagram with the last words again and again: few will be
// needed, but there is no time for KCP to find out which.
func (k *kcpConn) part(b []byte) {
	k.pipe.expect(len(b), true)
	if _, err := k.Conn.Write(b); err != nil {
		return
	}
	again := time.NewTicker(partEvery)
	defer again.Stop()
	for {
		select {
		case <-k.pipe.flushed:
			return
		case <-again.C:
			k.pipe.again()
		}
	}
}

const partEvery = 40 * time.Millisecond

// cut needs nothing but an end: a datagram socket closes without a word.
func (k *kcpConn) cut() (audible bool) {
	k.pipe.silence()
	return false
}

func (k *kcpConn) close() {
	_ = k.Conn.Close()
	_ = k.pipe.Close()
}

// peer is the server's address. A stock KCP asks every datagram for its String.
type peer struct {
	*net.UDPAddr
	at   netip.AddrPort
	text string
}

func newPeer(a netip.AddrPort) *peer {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	return &peer{net.UDPAddrFromAddrPort(a), a, a.String()}
}

func (p *peer) String() string { return p.text }

// pipe is the socket below KCP, ours or the one that Config.KCP makes. It lets pass only
// segments of our conversation, notes when one came, and reads in them what a net.Conn
// does not tell: whether everything written is acknowledged.
type pipe struct {
	net.PacketConn
	connected *net.UDPConn // the same, nil if others may send to it
	peer      *peer
	conv      uint32
	mtu       int
	clock     *clock
	in        atomic.Int64 // when the last segment came

	mu      sync.Mutex // guards the rest
	silent  bool
	closed  bool
	written uint64 // bytes given to KCP
	sent    uint64 // those of them that were put into datagrams
	next    uint32 // segment after the last one sent
	una     uint32 // first segment that the server has not acknowledged
	parted  bool
	last    []byte        // the latest datagram with bytes of the stream, once parted
	owed    ack           // of the latest segment that the server pushed
	flushed chan struct{} // closed with over: closed, or parted and all is acknowledged
	over    bool
	sign    chan struct{} // closed with signed: something came, or readErr; nil: nothing waits for it
	signed  bool
	readErr error
	repeats *kcp.Repeater       // sees to a path that loses, nil: the KCP above does
	doubt   *seal.ResetDetector // nil: the socket below judges resets itself
}

// ack is the acknowledgement of a segment that came, until KCP sends it.
type ack struct {
	owed   bool
	ts, sn uint32
	una    uint32 // the next segment in order, as far as is known
}

const kcpPush, kcpAck, kcpAsk, kcpLast, kcpHeader = 81, 82, 83, 84, 24

// segments calls f for each segment of a datagram. It reports false if b is no
// datagram of the conversation.
func (p *pipe) segments(b []byte, f func(cmd byte, ts, sn, una uint32, size int)) bool {
	if len(b) < kcpHeader {
		return false
	}
	for len(b) >= kcpHeader {
		size := binary.LittleEndian.Uint32(b[20:])
		if binary.LittleEndian.Uint32(b) != p.conv || b[4] < kcpPush || b[4] > kcpLast || uint64(size) > uint64(len(b)-kcpHeader) {
			return false
		}
		f(b[4], binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[16:]), int(size))
		b = b[kcpHeader+size:]
	}
	return true
}

// ReadFrom reads the next datagram of the conversation.
func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.read(b)
		if err != nil {
			if err = p.judge(err); err == nil {
				continue
			}
			p.mu.Lock()
			p.signLocked(err)
			p.mu.Unlock()
			return 0, nil, err
		}
		switch {
		case from != p.peer.at:
		case p.received(b[:n]):
			return n, p.peer, nil
		case p.doubt != nil && n == seal.ResetSize:
			p.doubtLink(b[:n])
		}
	}
}

// doubtLink asks the server whether a reset is true, if it is of a link that the server
// knew: transport/SPEC 3.8.
func (p *pipe) doubtLink(reset []byte) {
	id, t, ok := seal.Parse(reset)
	if !ok || t != seal.TypeReset || id != p.conv {
		return
	}
	p.mu.Lock()
	now, ask := p.clock.now(), false
	if p.signed && !p.silent {
		ask, _ = p.doubt.Reset(now, reset) // an error: it answers nothing that was sent
	}
	_, due := p.doubt.Lost(now)
	question := p.segment(kcpAsk, 0, 0, p.owed.una)
	p.mu.Unlock()
	if ask {
		_ = p.put(question)
		_ = p.SetReadDeadline(p.clock.wall(due))
	}
}

// judge decides about an error of the socket: nil if a doubt only woke the reader, and
// the server knows the link.
func (p *pipe) judge(err error) error {
	if p.doubt == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	lost, due := p.doubt.Lost(p.clock.now())
	switch {
	case lost:
		return errReset
	case due == 0:
		return p.SetReadDeadline(time.Time{})
	}
	return p.SetReadDeadline(p.clock.wall(due))
}

// segment makes a segment of the conversation without a payload.
func (p *pipe) segment(cmd byte, ts, sn, una uint32) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, kcpHeader), p.conv)
	b = append(b, cmd, 0, kcpWindow, 0)
	for _, field := range []uint32{ts, sn, una, 0} {
		b = binary.LittleEndian.AppendUint32(b, field)
	}
	return b
}

func (p *pipe) read(b []byte) (int, netip.AddrPort, error) {
	if p.connected != nil {
		n, err := p.connected.Read(b)
		return n, p.peer.at, err
	}
	n, from, err := p.PacketConn.ReadFrom(b)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return n, sourceOf(from), nil
}

// sourceOf is where a datagram came from, in the form that peers have.
func sourceOf(from net.Addr) netip.AddrPort {
	u, ok := from.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := u.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (p *pipe) received(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	highest, owed := p.una, p.owed
	if p.silent || !p.segments(b, func(cmd byte, ts, sn, una uint32, _ int) {
		if cmd == kcpPush {
			owed.owed, owed.ts, owed.sn = true, ts, sn
			if sn == owed.una {
				owed.una++
			}
		}
		if int32(una-highest) > 0 && int32(una-p.next) <= 0 {
			highest = una
		}
	}) {
		return false
	}
	p.una, p.owed = highest, owed
	if p.doubt != nil {
		p.doubt.Received()
	}
	if p.repeats != nil {
		p.repeats.Input(b)
	}
	p.in.Store(int64(p.clock.now()))
	p.signLocked(nil)
	p.checkLocked()
	return true
}

// signLocked ends knock.
func (p *pipe) signLocked(err error) {
	if p.sign != nil && !p.signed {
		p.signed, p.readErr = true, err
		close(p.sign)
	}
}

// WriteTo sends a datagram to the server. Only KCP calls it, one call at a
// time.
func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	p.mu.Lock()
	pays, debt := false, p.owed.sn
	p.segments(b, func(cmd byte, _, sn, una uint32, size int) {
		if int32(una-p.owed.una) > 0 {
			p.owed.una = una
		}
		pays = pays || cmd == kcpAck && sn == debt || int32(una-debt) > 0
		if cmd == kcpPush && sn == p.next {
			p.next++
			p.sent += uint64(size)
			if p.parted {
				p.last = append(p.last[:0], b...)
			}
		}
	})
	silent, d := p.silent, b
	if p.repeats != nil {
		d = p.repeats.Output(b, p.mtu)
	}
	if p.doubt != nil {
		p.doubt.Sent(d)
	}
	p.mu.Unlock()
	if silent {
		return len(b), nil
	}
	if err := p.put(d); err != nil {
		return 0, err
	}
	if pays { // only now: Close may have come in between
		p.mu.Lock()
		p.owed.owed = p.owed.owed && p.owed.sn != debt
		p.mu.Unlock()
	}
	return len(b), nil
}

// put gives a datagram to the socket.
func (p *pipe) put(b []byte) (err error) {
	if p.connected != nil {
		_, err = p.connected.Write(b)
	} else {
		_, err = p.PacketConn.WriteTo(b, p.peer.UDPAddr)
	}
	if lossy(err) {
		return nil // lost, as datagrams are
	}
	return err
}

// lossy reports whether an error of a socket says no more than that a datagram
// was lost.
func lossy(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN)
}

// expect tells that n more bytes are given to KCP, perhaps the last.
func (p *pipe) expect(n int, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written += uint64(n)
	p.parted = last
}

func (p *pipe) checkLocked() {
	if p.over || !p.closed && (!p.parted || p.sent != p.written || p.una != p.next) {
		return
	}
	p.over = true
	close(p.flushed)
}

// again sends the last datagram once more.
func (p *pipe) again() {
	p.mu.Lock()
	b, silent := append([]byte(nil), p.last...), p.silent
	p.mu.Unlock()
	if len(b) > 0 && !silent {
		_ = p.put(b)
	}
}

func (p *pipe) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
}

// Close closes the socket. The server's last words are acknowledged first:
// a stock KCP hands that to a goroutine, which finds the socket closed, and a server
// that must say them again waits for us.
func (p *pipe) Close() error {
	p.mu.Lock()
	owed, silent := p.owed, p.silent
	p.owed.owed = false
	p.closed = true
	p.checkLocked()
	p.mu.Unlock()
	if owed.owed && !silent {
		_ = p.put(p.segment(kcpAck, owed.ts, owed.sn, owed.una))
	}
	return p.PacketConn.Close()
}
