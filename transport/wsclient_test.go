// SPDX-License-Identifier: MIT

package transport

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/lifeline-go/lifeline/codec"
)

// wsConn is a client's WebSocket that takes and gives a stream of frames, for
// tests that know no messages. A Write that ends in the middle of a frame is a
// piece of a message: the rest of the frame ends it.
type wsConn struct {
	net.Conn
	br     *bufio.Reader
	begun  []byte // of a message that is not whole
	left   int64  // of the frame that Read is in
	closed uint16 // what the server's close frame said
	pongs  []string
	failed error // the upgrade
	most   int   // largest body of a frame
}

const upgradeHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// newWSConn asks for the upgrade. If that fails, so does everything after it.
func newWSConn(conn net.Conn, maxBody int) *wsConn {
	c := &wsConn{Conn: conn, br: bufio.NewReader(conn), most: maxBody}
	if _, c.failed = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: game.example\r\n"+upgradeHeaders+"\r\n"); c.failed != nil {
		return c
	}
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.failed = err
	} else if accept := r.Header.Get("Sec-WebSocket-Accept"); r.StatusCode != 101 || accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		c.failed = fmt.Errorf("upgrade: %s, accept %q", r.Status, accept)
	}
	return c
}

// wsFrame returns a client's frame.
func wsFrame(op ws.OpCode, fin bool, payload []byte) []byte {
	f := ws.MaskFrameWith(ws.NewFrame(op, fin, append([]byte(nil), payload...)), [4]byte{1, 2, 3, 4})
	b, err := ws.CompileFrame(f)
	if err != nil {
		panic(err)
	}
	return b
}

func (c *wsConn) Write(b []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	op := ws.OpContinuation
	if len(c.begun) == 0 {
		op = ws.OpBinary
	}
	c.begun = append(c.begun, b...)
	rest, fin := c.begun, true
	for len(rest) > 0 {
		_, n, err := codec.ParseFrame(rest, c.most)
		if err != nil {
			break
		}
		if n == 0 {
			fin = false
			break
		}
		rest = rest[n:]
	}
	if fin {
		c.begun = nil
	}
	if _, err := c.Conn.Write(wsFrame(op, fin, b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *wsConn) Read(b []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	for c.left == 0 {
		h, err := ws.ReadHeader(c.br)
		if err != nil {
			return 0, err
		}
		if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
			return 0, err
		}
		if h.OpCode == ws.OpBinary && h.Fin {
			c.left = h.Length
			continue
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(c.br, p); err != nil {
			return 0, err
		}
		switch h.OpCode {
		case ws.OpPong:
			c.pongs = append(c.pongs, string(p))
		case ws.OpClose:
			c.closed = binary.BigEndian.Uint16(p)
			_, _ = c.Conn.Write(wsFrame(ws.OpClose, true, p))
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("server sent %v", h.OpCode)
		}
	}
	n, err := c.br.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}
