// SPDX-License-Identifier: MIT

package memnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// PacketConn is a client's datagram socket: ListenPacket. Guarded by its
// network's lock; its methods are safe to call from any goroutine.
type PacketConn struct {
	n        *Network
	local    netip.AddrPort
	up, down flight
	unread   []parcel
	closed   bool
	cut      bool
	wake     chan struct{}
	rd       deadline
}

func (c *PacketConn) wakeLocked() {
	close(c.wake)
	c.wake = make(chan struct{})
}

func (c *PacketConn) receiveLocked(p parcel) {
	if c.cut || c.closed || len(c.unread) >= maxUnread {
		return
	}
	c.unread = append(c.unread, p)
	c.wakeLocked()
}

// ReadFrom reads one datagram; what does not fit into b is lost.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, net.ErrClosed
		case c.rd.passed:
			return 0, nil, os.ErrDeadlineExceeded
		case len(c.unread) > 0:
			p := c.unread[0]
			c.unread = c.unread[1:]
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		}
		wake := c.wake
		c.n.mu.Unlock()
		<-wake
		c.n.mu.Lock()
	}
}

// WriteTo sends one datagram. It never blocks.
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a UDP address")
	}
	if len(b) > 65507 {
		return 0, syscall.EMSGSIZE
	}
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if !c.cut {
		p := addr.AddrPort()
		c.up.datagramLocked(parcel{from: c.local, to: netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), data: b})
	}
	return len(b), nil
}

// Close closes the socket. No peer is told: datagrams know no end.
func (c *PacketConn) Close() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.unread = nil
	delete(c.n.packets, c.local)
	c.rd.stopLocked()
	c.down.stopLocked()
	c.wakeLocked()
	return nil
}

// Cut makes the socket silent in both directions without a word.
func (c *PacketConn) Cut() {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.cut = true
}

// LocalAddr returns the client's address.
func (c *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

// SetDeadline sets the read deadline; writes never wait.
func (c *PacketConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline ends ReadFroms that wait at t.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.rd.setLocked(t, func(at time.Time) {
		c.n.mu.Lock()
		defer c.n.mu.Unlock()
		if c.rd.set && c.rd.at.Equal(at) {
			c.rd.passed = true
			c.wakeLocked()
		}
	})
	c.wakeLocked()
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *PacketConn) SetWriteDeadline(time.Time) error { return nil }
