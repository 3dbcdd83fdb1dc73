// SPDX-License-Identifier: MIT

package memnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// deadline is a deadline of a net.Conn. Guarded by Network.mu.
type deadline struct {
	timer  *time.Timer
	set    bool
	at     time.Time
	passed bool
}

// setLocked arms the deadline; expire is called with it on a goroutine of its
// own, and must compare at.
func (d *deadline) setLocked(at time.Time, expire func(at time.Time)) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.set, d.at, d.passed = !at.IsZero(), at, false
	if !d.set {
		return
	}
	wait := at.Sub(clock())
	if wait <= 0 {
		d.passed = true
		return
	}
	d.timer = time.AfterFunc(wait, func() { expire(at) })
}

func (d *deadline) stopLocked() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// Conn is the client's end of a byte stream: DialTCP. Guarded by its
// network's lock; its methods are safe to call from any goroutine.
type Conn struct {
	n             *Network
	local, remote netip.AddrPort
	server        *stream

	up, down flight
	flying   int    // bytes from here that have not arrived
	unread   []byte // bytes that arrived here
	coming   int    // bytes on their way here
	eof      bool   // the server has closed, and everything before that arrived
	broken   error  // Reset, from either side
	closed   bool
	cut      bool
	wake     chan struct{} // closed and replaced when anything changes
	rd, wd   deadline
}

func newConnLocked(n *Network, line *Line, local, remote netip.AddrPort) *Conn {
	c := &Conn{n: n, local: local, remote: remote, wake: make(chan struct{})}
	c.up = n.flightLocked(line, true, c.toServerLocked)
	c.down = n.flightLocked(line, true, c.receiveLocked)
	return c
}

func (c *Conn) wakeLocked() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// toServerLocked delivers a piece to the server's end.
func (c *Conn) toServerLocked(p parcel) {
	c.flying -= len(p.data)
	c.wakeLocked()
	if c.cut || c.server.closed {
		return
	}
	e := event{kind: came, stream: c.server, data: p.data}
	if p.end {
		e = event{kind: ended, stream: c.server, err: io.EOF}
	}
	c.server.loop.enqueueLocked(e)
}

// receiveLocked takes a piece from the server.
func (c *Conn) receiveLocked(p parcel) {
	c.coming -= len(p.data)
	if c.cut || c.closed {
		return
	}
	c.unread = append(c.unread, p.data...)
	c.eof = c.eof || p.end
	c.wakeLocked()
}

// Read reads what has arrived.
func (c *Conn) Read(b []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.broken != nil:
			return 0, c.broken
		case c.rd.passed:
			return 0, os.ErrDeadlineExceeded
		case len(c.unread) > 0:
			n := copy(b, c.unread)
			c.unread = c.unread[n:]
			c.server.pushLocked()
			return n, nil
		case c.eof:
			return 0, io.EOF
		}
		c.waitLocked()
	}
}

// Write sends b. It blocks while too much is on its way. What is sent to a server that has
// ended the connection is lost.
func (c *Conn) Write(b []byte) (written int, err error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return written, net.ErrClosed
		case c.broken != nil:
			return written, c.broken
		case c.wd.passed:
			return written, os.ErrDeadlineExceeded
		case len(b) == 0:
			return written, nil
		case c.server.closed:
			return written + len(b), nil
		case c.flying < window:
			piece := b[:min(len(b), window-c.flying, 16<<10)]
			b = b[len(piece):]
			written += len(piece)
			c.flying += len(piece)
			if !c.cut { // into a cut line bytes go until it is full
				c.up.pieceLocked(parcel{data: append([]byte(nil), piece...)})
			}
			continue
		}
		c.waitLocked()
	}
}

func (c *Conn) waitLocked() {
	wake := c.wake
	c.n.mu.Unlock()
	<-wake
	c.n.mu.Lock()
}

// Close closes the connection; the server reads to the end of what was written.
func (c *Conn) Close() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.endLocked()
	if !c.cut && c.broken == nil {
		c.up.pieceLocked(parcel{end: true})
	}
	return nil
}

// endLocked ends the client's end, without a word to the server's.
func (c *Conn) endLocked() {
	c.closed = true
	c.unread = nil
	delete(c.n.conns, c)
	c.rd.stopLocked()
	c.wd.stopLocked()
	c.down.stopLocked()
	if c.cut {
		c.up.stopLocked()
	}
	c.wakeLocked()
}

// Reset breaks the connection; both ends notice at once.
func (c *Conn) Reset() {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.breakLocked()
	if !c.cut && !c.server.closed {
		c.server.loop.enqueueLocked(event{kind: ended, stream: c.server, err: syscall.ECONNRESET})
	}
}

func (c *Conn) breakLocked() {
	if c.broken == nil {
		c.broken = syscall.ECONNRESET
	}
	delete(c.n.conns, c)
	c.up.stopLocked()
	c.down.stopLocked()
	c.wakeLocked()
}

// Cut makes the connection silent in both directions without a word, like a
// pulled cable: neither end is told anything, ever.
func (c *Conn) Cut() {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.cut = true
}

// LocalAddr returns the client's address.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr returns the server's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline ends Reads that wait at t.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.rd, t) }

// SetWriteDeadline ends Writes that wait at t.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.wd, t) }

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	d.setLocked(t, func(at time.Time) {
		c.n.mu.Lock()
		defer c.n.mu.Unlock()
		if d.set && d.at.Equal(at) {
			d.passed = true
			c.wakeLocked()
		}
	})
	c.wakeLocked()
	return nil
}
