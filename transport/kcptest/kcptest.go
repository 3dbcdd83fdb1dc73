// SPDX-License-Identifier: MIT

// Package kcptest is a stock KCP client for tests under testing/synctest.
package kcptest

import (
	"net"
	"os"
	"sync"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"
)

// Conn is kcp-go's protocol with a driver of its own, as a net.Conn. kcp-go's
// UDPSession can't live in a bubble: its scheduler waits for a time strictly
// after the deadline, which never comes while time stands still for what
// runs.
type Conn struct {
	pc  net.PacketConn
	to  net.Addr
	end chan struct{}

	mu      sync.Mutex // guards the rest
	kcp     *kcpgo.KCP
	wake    chan struct{} // closed and replaced when anything changes
	closed  bool          // Read and Write have ended
	ended   bool          // the socket is closed
	lingers time.Time     // when the socket closes at the latest
	unread  []byte
	rd      time.Time
}

// Dial opens conversation conv with to over pc, which it owns from then on.
func Dial(pc net.PacketConn, to net.Addr, conv uint32) *Conn {
	c := &Conn{pc: pc, to: to, wake: make(chan struct{}), end: make(chan struct{})}
	c.kcp = kcpgo.NewKCP(conv, func(b []byte, n int) { pc.WriteTo(b[:n], to) })
	c.kcp.NoDelay(1, 10, 2, 1)
	c.kcp.WndSize(128, 128)
	c.kcp.SetMtu(1400)
	go c.receive()
	go c.tick()
	return c
}

// SetMTU changes the size of the datagrams that c sends.
func (c *Conn) SetMTU(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kcp.SetMtu(n)
}

func (c *Conn) receive() {
	buf := make([]byte, 2048)
	for {
		n, _, err := c.pc.ReadFrom(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		if n <= 1500 { // more makes kcp-go panic
			c.kcp.Input(buf[:n], true, true)
		}
		for size := c.kcp.PeekSize(); size > 0; size = c.kcp.PeekSize() {
			if len(c.unread) > 32<<10 {
				break // a slow reader: the window closes
			}
			b := make([]byte, size)
			c.kcp.Recv(b)
			c.unread = append(c.unread, b...)
		}
		c.wakeLocked()
		c.mu.Unlock()
	}
}

func (c *Conn) tick() {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		c.mu.Lock()
		c.kcp.Update()
		c.wakeLocked()
		if c.closed && (c.kcp.WaitSnd() == 0 || time.Now().After(c.lingers)) {
			c.endLocked()
		}
		c.mu.Unlock()
		select {
		case <-ticker.C:
		case <-c.end:
			return
		}
	}
}

func (c *Conn) wakeLocked() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for size := c.kcp.PeekSize(); size > 0 && len(c.unread) <= 32<<10; size = c.kcp.PeekSize() {
			m := make([]byte, size)
			c.kcp.Recv(m)
			c.unread = append(c.unread, m...)
		}
		if len(c.unread) > 0 {
			n := copy(b, c.unread)
			c.unread = c.unread[n:]
			return n, nil
		}
		if c.closed {
			return 0, net.ErrClosed
		}
		if !c.rd.IsZero() && !time.Now().Before(c.rd) {
			return 0, os.ErrDeadlineExceeded
		}
		c.waitLocked()
	}
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written := len(b)
	for len(b) > 0 {
		if c.closed {
			return written - len(b), net.ErrClosed
		}
		if c.kcp.WaitSnd() >= 128 {
			c.waitLocked()
			continue
		}
		n := min(len(b), 1376) // kcp-go's Write cuts the same way
		c.kcp.Send(b[:n])
		b = b[n:]
	}
	return written, nil
}

// waitLocked waits for a change; tick makes one every 10 ms.
func (c *Conn) waitLocked() {
	wake := c.wake
	c.mu.Unlock()
	<-wake
	c.mu.Lock()
}

// Close stops reading and writing; the socket closes once everything written is
// acknowledged, or a second later. Stock KCP says no goodbye.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.lingers = time.Now().Add(time.Second)
	c.wakeLocked()
	return nil
}

// Cut drops the conversation without a word, as a pulled cable does.
func (c *Conn) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.wakeLocked()
	c.endLocked()
}

func (c *Conn) endLocked() {
	if !c.ended {
		c.ended = true
		close(c.end)
		_ = c.pc.Close()
	}
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rd = t
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.pc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.to }

// SetDeadline implements net.Conn; writing has none.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn and does nothing.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
