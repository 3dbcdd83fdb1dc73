// SPDX-License-Identifier: MIT

package transport

import (
	"crypto/rand"
	"io"
	"net"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// stcpConn is a client's sealed TCP that takes and gives a stream of frames, for
// tests that know no records. What a Write ends in the middle of waits for its rest.
type stcpConn struct {
	net.Conn
	sealer, opener seal.Stream
	begun, plain   []byte
	most           int // largest body of a frame
	failed         error
	nonce          [16]byte
}

// newStcpConn does the handshake. If that fails, so does everything after it.
func newStcpConn(conn net.Conn, publicKey string, maxBody int) *stcpConn {
	c := &stcpConn{Conn: conn, most: maxBody}
	c.failed = c.shake(publicKey)
	return c
}

func (c *stcpConn) shake(publicKey string) error {
	key, err := seal.ParsePublicKey(publicKey)
	if err != nil {
		return err
	}
	i, err := seal.NewStreamInitiator(key, rand.Reader)
	if err != nil {
		return err
	}
	if _, err := c.Conn.Write(i.Hello()); err != nil {
		return err
	}
	var got []byte
	for {
		one := make([]byte, 1) // the records that follow stay in the connection
		if _, err := io.ReadFull(c.Conn, one); err != nil {
			return err
		}
		got = append(got, one...)
		if a, _, err := i.Accept(got); a != nil || err != nil {
			if err == nil {
				c.sealer, c.opener, c.nonce = a.Stream, a.Stream, a.Nonce
			}
			return err
		}
	}
}

func (c *stcpConn) Write(b []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	c.begun = append(c.begun, b...)
	whole := 0
	for whole < len(c.begun) {
		size, err := codec.FrameSize(c.begun[whole:], c.most)
		if err != nil {
			size = len(c.begun) - whole // no frame: let the server say so
		}
		if size == 0 || whole+size > len(c.begun) {
			break
		}
		whole += size
	}
	if whole > 0 {
		record := append(make([]byte, seal.RecordHead, whole+seal.RecordOverhead), c.begun[:whole]...)
		c.begun = append([]byte(nil), c.begun[whole:]...)
		if _, err := c.Conn.Write(c.sealer.Seal(record)); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (c *stcpConn) Read(b []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	for len(c.plain) == 0 {
		record := make([]byte, seal.RecordHead)
		if _, err := io.ReadFull(c.Conn, record); err != nil {
			return 0, err
		}
		size, err := seal.RecordSize(record, 1<<20)
		if err != nil {
			return 0, err
		}
		record = append(record, make([]byte, size-len(record))...)
		if _, err := io.ReadFull(c.Conn, record[seal.RecordHead:]); err != nil {
			return 0, err
		}
		if c.plain, err = c.opener.Open(record); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}
