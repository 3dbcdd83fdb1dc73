// SPDX-License-Identifier: MIT

//go:build !unix

package poll

import (
	"net"

	"github.com/panjf2000/gnet/v2"
)

// waker is what wakes a loop: one end of a connection with itself. Guarded by
// the queue's lock between open and close.
type waker struct{ conn net.Conn }

// open returns what the loop listens to.
func (b *waker) open() ([]net.Conn, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	if b.conn, err = net.Dial("tcp4", ln.Addr().String()); err != nil {
		return nil, err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			b.close()
			return nil, err
		}
		if conn.RemoteAddr().String() == b.conn.LocalAddr().String() {
			return []net.Conn{conn}, nil
		}
		_ = conn.Close() // of another process
	}
}

var wakeByte = []byte{1}

func (b *waker) wake() { _, _ = b.conn.Write(wakeByte) }

func (b *waker) close() {
	if b.conn != nil {
		_ = b.conn.Close()
		b.conn = nil
	}
}

// shutdownWrite: gnet does not give the connection away here.
func shutdownWrite(gnet.Conn) bool { return false }

// noFiles: there is no such limit here.
func noFiles(error) bool { return false }

func awaitConn(*net.TCPListener) {}
