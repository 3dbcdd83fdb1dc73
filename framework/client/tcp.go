// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"net"
	"sync"
	"time"
)

// tcpConn is frames on a stream.
type tcpConn struct {
	net.Conn
	ended chan struct{} // closed when Read has failed
	once  sync.Once
}

// openTCP opens a TCP link, or one that Config.Dial makes of something else.
func (d *dialer) openTCP(ctx context.Context, network, hostport string) (conn, error) {
	nc, err := d.stream(ctx, network, hostport)
	if err != nil {
		return nil, err
	}
	return &tcpConn{Conn: nc, ended: make(chan struct{})}, nil
}

func (t *tcpConn) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if err != nil {
		t.once.Do(func() { close(t.ended) })
	}
	return n, err
}

func (t *tcpConn) lastIn() time.Duration { return 0 } // Read shows everything

func (t *tcpConn) part(b []byte) {
	if _, err := t.Write(b); err != nil {
		return
	}
	t.awaitClose()
}

// awaitClose waits for the peer to close in turn: a close while its last bytes are
// unread would reset the connection and swallow ours.
func (t *tcpConn) awaitClose() {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		<-t.ended
	}
}

func (t *tcpConn) cut() (audible bool) {
	if c, ok := t.Conn.(interface{ Cut() }); ok {
		c.Cut()
		return false
	}
	_ = t.SetDeadline(time.Unix(1, 0)) // ends Read and Write
	return true
}

func (t *tcpConn) close() { _ = t.Close() }
