// SPDX-License-Identifier: MIT

package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// errStreamKey is a server that hangs up instead of answering the handshake.
var errStreamKey = errors.New("the server hung up: its key is not the one in ServerKey, or no sealed TCP is served there")

// stcpConn is frames in the records of a sealed byte stream: transport/seal/SPEC 10.
type stcpConn struct {
	tcpConn
	nonce   session.Nonce
	version uint8
	most    int // bytes of frames in a record of the server

	// The reader's.
	opener seal.Stream
	from   *bufio.Reader
	record bytes.Buffer // grows with what came, not with what a head claims
	plain  []byte       // of the last record, not yet read
	in     atomic.Int64 // when something came last

	// The writer's.
	sealer seal.Stream
	out    []byte
}

// openSTCP opens a sealed stream: with the session's seal key if it has one, and
// if that is refused, or there is none, with the server's public key.
func (d *dialer) openSTCP(ctx context.Context, hostport string, r resumption) (conn, error) {
	if r.ok {
		i, err := seal.NewStreamResumer(r.id, r.key, d.random)
		if err != nil {
			return nil, err
		}
		if k, err := d.openStreamWith(ctx, hostport, i); err == nil || !errors.Is(err, errStreamKey) {
			return k, err
		}
	}
	i, err := seal.NewStreamInitiator(d.serverKey, d.random)
	if err != nil {
		return nil, err
	}
	return d.openStreamWith(ctx, hostport, i)
}

// openStreamWith dials and does the handshake.
func (d *dialer) openStreamWith(ctx context.Context, hostport string, i *seal.StreamInitiator) (conn, error) {
	nc, err := d.stream(ctx, "tcp", hostport)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	k, err := d.shakeStream(nc, i)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return k, nil
}

// shakeStream sends the hello and reads the answer.
func (d *dialer) shakeStream(nc net.Conn, i *seal.StreamInitiator) (*stcpConn, error) {
	if _, err := nc.Write(i.Hello()); err != nil {
		return nil, err
	}
	var got []byte
	buf := make([]byte, 512)
	for {
		n, err := nc.Read(buf)
		got = append(got, buf[:n]...)
		a, used, refused := i.Accept(got)
		switch {
		case refused != nil:
			return nil, fmt.Errorf("%w: %w", errStranger, refused)
		case a != nil && len(a.Greeting) != 1:
			return nil, session.ErrControl
		case a != nil:
			k := &stcpConn{
				tcpConn: tcpConn{Conn: nc, ended: make(chan struct{})}, nonce: a.Nonce, version: a.Greeting[0],
				// Each copy is used for one direction alone.
				opener: a.Stream, sealer: a.Stream,
				most: cmp.Or(d.cfg.MaxReceive, session.DefaultMaxReceive) + codec.FrameOverhead,
			}
			// Records may have come with the answer.
			k.from = bufio.NewReader(io.MultiReader(bytes.NewReader(got[used:]), &noting{&k.tcpConn, d.clock, &k.in}))
			return k, nil
		case errors.Is(err, net.ErrClosed), err != nil && isTimeout(err):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errStreamKey, err)
		}
	}
}

// isTimeout reports whether a deadline ended a read.
func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// noting is a reader that notes when something came.
type noting struct {
	io.Reader
	clock *clock
	at    *atomic.Int64
}

func (h *noting) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.at.Store(int64(h.clock.now()))
	}
	return n, err
}

// Read returns what the next record holds.
func (k *stcpConn) Read(b []byte) (int, error) {
	for len(k.plain) == 0 {
		record, err := k.next()
		if err == nil {
			k.plain, err = k.opener.Open(record)
		}
		if err != nil {
			k.once.Do(func() { close(k.ended) }) // the stream is not read on, whatever it is
			return 0, err
		}
	}
	n := copy(b, k.plain)
	k.plain = k.plain[n:]
	return n, nil
}

// next reads a record. It is valid until the next call.
func (k *stcpConn) next() ([]byte, error) {
	k.record.Reset()
	if _, err := io.CopyN(&k.record, k.from, seal.RecordHead); err != nil {
		return nil, err
	}
	size, err := seal.RecordSize(k.record.Bytes(), k.most)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(&k.record, k.from, int64(size-seal.RecordHead)); err != nil {
		return nil, err
	}
	return k.record.Bytes(), nil
}

// Write sends whole frames as one record.
func (k *stcpConn) Write(b []byte) (int, error) {
	k.out = append(append(k.out[:0], make([]byte, seal.RecordHead)...), b...)
	k.out = k.sealer.Seal(k.out)
	if _, err := k.Conn.Write(k.out); err != nil {
		return 0, err
	}
	if cap(k.out) > 2*chunk {
		k.out = nil // a rare large frame
	}
	return len(b), nil
}

func (k *stcpConn) lastIn() time.Duration { return time.Duration(k.in.Load()) }

// part is tcpConn's, sealed.
func (k *stcpConn) part(b []byte) {
	if _, err := k.Write(b); err != nil {
		return
	}
	k.awaitClose()
}
