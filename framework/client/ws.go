// SPDX-License-Identifier: MIT

package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"

	"github.com/gobwas/ws"

	"github.com/lifeline-go/lifeline/session"
)

// subprotocol is what the server is asked for: transport/SPEC 7.1.
const subprotocol = "lifeline"

// wsConn is frames in the messages of a WebSocket: transport/SPEC 7.
type wsConn struct {
	tcpConn

	// The reader's.
	in    *bufio.Reader
	left  int64 // of the frame that is being read
	state ws.State
	rest  []byte // a goodbye that the close frame stands for

	mu  sync.Mutex // one frame at a time: pongs are the reader's
	out []byte
}

func (d *dialer) openWS(ctx context.Context, url string) (conn, error) {
	connected := false
	shake := ws.Dialer{Protocols: []string{subprotocol}, TLSConfig: d.cfg.TLS}
	shake.NetDial = func(ctx context.Context, network, hostport string) (net.Conn, error) {
		nc, err := d.stream(ctx, network, hostport)
		connected = err == nil
		return nc, err
	}
	nc, early, _, err := shake.Dial(ctx, url)
	if err != nil {
		if connected && errors.Is(err, context.DeadlineExceeded) {
			err = errNoUpgrade
		}
		return nil, err
	}
	w := &wsConn{tcpConn: tcpConn{Conn: nc, ended: make(chan struct{})}, state: ws.StateClientSide}
	var from io.Reader = nc
	if early != nil { // the server's first frame came with its answer
		b, _ := early.Peek(early.Buffered())
		from = io.MultiReader(bytes.NewReader(bytes.Clone(b)), nc)
		ws.PutReader(early)
	}
	w.in = bufio.NewReader(from)
	return w, nil
}

// Write sends whole frames as one message. Callers keep below what every
// server takes: SPEC 7.4.
func (w *wsConn) Write(b []byte) (int, error) {
	if err := w.send(ws.OpBinary, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (w *wsConn) send(op ws.OpCode, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Length: int64(len(b))}
	binary.LittleEndian.PutUint32(h.Mask[:], rand.Uint32())
	buf := bytes.NewBuffer(w.out[:0])
	_ = ws.WriteHeader(buf, h)
	n := buf.Len()
	buf.Write(b)
	w.out = buf.Bytes()
	ws.Cipher(w.out[n:], h.Mask, 0)
	_, err := w.Conn.Write(w.out)
	if cap(w.out) > 2*chunk {
		w.out = nil // a rare large frame
	}
	return err
}

// Read returns the bytes of messages; their borders mean nothing.
func (w *wsConn) Read(b []byte) (int, error) {
	n, err := w.read(b)
	if err != nil {
		w.once.Do(func() { close(w.ended) })
	}
	return n, err
}

func (w *wsConn) read(b []byte) (int, error) {
	for w.left == 0 && len(w.rest) == 0 {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	if len(w.rest) > 0 {
		n := copy(b, w.rest)
		w.rest = w.rest[n:]
		return n, nil
	}
	n, err := w.in.Read(b[:min(int64(len(b)), w.left)])
	w.left -= int64(n)
	return n, err
}

// next begins the next data frame, and does what the control frames before it ask for.
func (w *wsConn) next() error {
	if w.rest != nil {
		return io.EOF // after a close frame
	}
	h, err := ws.ReadHeader(w.in)
	if err == nil {
		err = ws.CheckHeader(h, w.state)
	}
	if err != nil {
		return err
	}
	if !h.OpCode.IsControl() {
		if h.OpCode == ws.OpText {
			return fmt.Errorf("client: the server sent text")
		}
		w.left = h.Length
		w.state = w.state.Clear(ws.StateFragmented)
		if !h.Fin {
			w.state = w.state.Set(ws.StateFragmented)
		}
		return nil
	}
	p := make([]byte, h.Length)
	if _, err := io.ReadFull(w.in, p); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		return w.send(ws.OpPong, p)
	case ws.OpClose:
		_ = w.send(ws.OpClose, p)
		code, _ := ws.ParseCloseFrameData(p)
		if code < 4000 || code >= 4999 {
			return io.EOF
		}
		w.rest = session.AppendBye([]byte{}, &session.CloseError{Code: session.Code(code - 4000)})
	}
	return nil
}

// part says goodbye, the WebSocket's after ours, and waits for the server to close.
func (w *wsConn) part(b []byte) {
	if _, err := w.Write(b); err != nil {
		return
	}
	if w.send(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")) == nil {
		<-w.ended
	}
}
