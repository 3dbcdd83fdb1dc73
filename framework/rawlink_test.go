// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// raw is a client made of bytes, which does what no honest one does.
type raw struct {
	t    *testing.T
	conn net.Conn
	seq  uint16

	routes []byte // what its HELLO says of the dictionary
}

func (e *env) raw() (r *raw, nonce []byte) {
	e.t.Helper()
	conn, err := e.net.DialTCP(context.Background(), e.srv.Addr(transport.TCP))
	if err != nil {
		e.t.Fatal(err)
	}
	r = &raw{t: e.t, conn: conn}
	var greeting struct {
		Version uint8
		Nonce   []byte
	}
	r.read(codec.Greeting, &greeting)
	return r, greeting.Nonce
}

func (r *raw) write(h codec.Header, body []byte) {
	if _, err := r.conn.Write(codec.AppendFrame(nil, h, body)); err != nil {
		r.t.Log(err)
	}
}

func (r *raw) hello(nonce []byte, user string, attempt uint64) {
	body, err := codec.AppendBody(nil, &struct {
		Version uint8
		Nonce   []byte
		Opening []byte
		Ticket  []byte
		Info    string
		Routes  []byte
		Attempt uint64
	}{session.ProtocolVersion, nonce, make([]byte, 16), []byte(user), "", r.routes, attempt})
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(codec.Header{Kind: codec.Hello}, body)
}

// read returns the body of the next packet of a kind.
func (r *raw) read(kind codec.Kind, into any) {
	r.t.Helper()
	for {
		h, body, err := r.next()
		if err != nil {
			r.t.Fatalf("waiting for %v: %v", kind, err)
		}
		if h == byte(kind) {
			if err := codec.DecodeBody(body, into); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
}

func (r *raw) next() (kind byte, body []byte, err error) {
	var n uint64
	if n, err = binary.ReadUvarint(oneByte{r.conn}); err != nil {
		return 0, nil, err
	}
	frame := make([]byte, 8+n)
	_, err = io.ReadFull(r.conn, frame)
	return frame[0], frame[8:], err
}

type oneByte struct{ io.Reader }

func (o oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(o, b[:])
	return b[0], err
}

// ended reports whether the server closes the link within d.
func (r *raw) ended(d time.Duration) bool {
	_ = r.conn.SetReadDeadline(time.Now().Add(d))
	_, err := io.Copy(io.Discard, r.conn)
	return err == nil
}
