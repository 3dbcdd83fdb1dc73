// SPDX-License-Identifier: MIT

package client_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// wsListener upgrades what it accepts. It is stricter than it must be, and more
// talkative: every write comes in fragments with a ping in between.
type wsListener struct {
	net.Listener
	t     testing.TB
	pongs atomic.Int64
}

func (l *wsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wsServerConn{Conn: nc, l: l}, nil
}

// wsServerConn is the server's end of a WebSocket as a stream of frames. The
// upgrade is its reader's: whoever accepts does not wait for it.
type wsServerConn struct {
	net.Conn
	l    *wsListener
	once sync.Once
	err  error
	left []byte
	mu   sync.Mutex
}

func (c *wsServerConn) upgrade() error {
	c.once.Do(func() {
		hs, err := ws.Upgrader{Protocol: func(b []byte) bool { return string(b) == "lifeline" }}.Upgrade(c.Conn)
		if err == nil && hs.Protocol != "lifeline" {
			err = errors.New("no subprotocol")
		}
		c.err = err
	})
	return c.err
}

func (c *wsServerConn) Write(b []byte) (int, error) {
	if err := c.upgrade(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var buf bytes.Buffer
	half := len(b) / 2
	for _, f := range []ws.Frame{
		ws.NewFrame(ws.OpBinary, false, b[:half]), ws.NewPingFrame([]byte("there?")),
		ws.NewFrame(ws.OpContinuation, false, nil), ws.NewFrame(ws.OpContinuation, true, b[half:]),
	} {
		_ = ws.WriteFrame(&buf, f)
	}
	_, err := c.Conn.Write(buf.Bytes())
	return len(b), err
}

// closeWith writes a close frame and leaves the rest to the client.
func (c *wsServerConn) closeWith(status ws.StatusCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = ws.WriteFrame(c.Conn, ws.NewCloseFrame(ws.NewCloseFrameBody(status, "")))
}

func (c *wsServerConn) Read(b []byte) (int, error) {
	if err := c.upgrade(); err != nil {
		return 0, err
	}
	for len(c.left) == 0 {
		h, err := ws.ReadHeader(c.Conn)
		if err != nil {
			return 0, err
		}
		if err := ws.CheckHeader(h, ws.StateServerSide); err != nil || h.Length > 64<<10+12 {
			c.l.t.Errorf("the client sent %+v: %v", h, err)
			return 0, io.ErrUnexpectedEOF
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(c.Conn, p); err != nil {
			return 0, err
		}
		ws.Cipher(p, h.Mask, 0)
		switch h.OpCode {
		case ws.OpBinary:
			c.left = p
		case ws.OpPong:
			if string(p) != "there?" {
				c.l.t.Errorf("pong %q", p)
			}
			c.l.pongs.Add(1)
		case ws.OpClose:
			return 0, io.EOF
		}
	}
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

func TestPingsOfTheServerAreAnswered(t *testing.T) {
	srv := newServer(t, calm)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wl := &wsListener{Listener: l, t: t}
	srv.serve(wl)
	c := newClient(t, []string{"ws://" + l.Addr().String() + "/play?x=1"}, client.Config{})
	connect(t, c)
	until(t, "pongs", func() bool { return wl.pongs.Load() >= 2 })
	if s := c.Stats(); s.Carrier != "ws" || s.Losses != 0 {
		t.Errorf("%+v", s)
	}
}

// TestCloseStatusStandsForABye: transport/SPEC 7.6.
func TestCloseStatusStandsForABye(t *testing.T) {
	for _, x := range []struct {
		status ws.StatusCode
		want   string // states
		code   session.Code
	}{
		{ws.StatusGoingAway, "opened lost resumed", session.LinkLost},
		{4001, "opened lost resumed", session.LinkLost},
		{4106, "opened lost gone opened", session.Left},
		{4200, "opened closed", session.Kicked},
		{4999, "opened lost resumed", session.LinkLost},
	} {
		srv := newServer(t, calm)
		var rec recorder
		c := newClient(t, []string{srv.listen("ws")}, quick(client.Config{OnEvent: rec.note}))
		connect(t, c)
		srv.do(func() { srv.last().link.nc.(*wsServerConn).closeWith(x.status) })
		until(t, x.want, func() bool { return rec.String() == x.want })
		var end *session.CloseError
		if err := rec.all()[1].Err; !errors.As(err, &end) || end.Code != x.code {
			t.Errorf("status %d: %v, want code %d", x.status, err, x.code)
		}
		_ = c.Close()
	}
}

func TestWebSocketAddresses(t *testing.T) {
	for _, bad := range []string{"ws://", "ws:///path", "wss://", "ws://host:port:port"} {
		if _, err := client.New([]string{bad}, client.Config{}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, good := range []string{"ws://host", "wss://host/play", "ws://[::1]:7778/play?room=1"} {
		c, err := client.New([]string{good}, client.Config{})
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		_ = c.Close()
	}
}

// TestRefusedUpgradeIsAFailedDial, and says why.
func TestRefusedUpgradeIsAFailedDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with l
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = ws.Upgrader{OnRequest: func([]byte) error {
				return ws.RejectConnectionError(ws.RejectionStatus(403))
			}}.Upgrade(nc)
			_ = nc.Close()
		}
	}()
	srv := newServer(t, calm)
	c := newClient(t, []string{"ws://" + l.Addr().String(), srv.listen("ws")}, client.Config{})
	connect(t, c)
	if s := c.Stats(); s.Dials != 2 || s.Failures != 1 || s.Carrier != "ws" {
		t.Errorf("%+v", s)
	}
}
