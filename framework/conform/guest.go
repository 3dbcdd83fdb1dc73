// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/lifeline-go/lifeline/codec"
)

// target is the server that is tried.
type target struct {
	addr    string // tcp:// or ws://
	ticket  string
	wait    time.Duration // for what is due at once
	attempt uint64        // the last that was used
	logins  int
}

// guest is one link to it, by hand: it does nothing by itself.
type guest struct {
	t     *target
	conn  net.Conn
	web   bool
	buf   []byte
	nonce []byte
}

// seat is what a login of a guest is known by at the server.
type seat struct {
	sid, key []byte
	body     string // of WELCOME
	opening  string
	ticket   string
}

func (t *target) dial() (*guest, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	scheme, host, _ := strings.Cut(t.addr, "://")
	if scheme == "ws" {
		d := ws.Dialer{Protocols: []string{"lifeline"}}
		c, br, _, err := d.Dial(ctx, t.addr)
		if err != nil {
			return nil, err
		}
		if br != nil {
			return &guest{t: t, conn: &ahead{c, br}, web: true}, nil
		}
		return &guest{t: t, conn: c, web: true}, nil
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	return &guest{t: t, conn: c}, err
}

// ahead is a connection of which something was read before.
type ahead struct {
	net.Conn
	r io.Reader
}

func (a *ahead) Read(b []byte) (int, error) { return a.r.Read(b) }

// link dials, and takes the greeting.
func (t *target) link() (*guest, error) {
	g, err := t.dial()
	if err != nil {
		return nil, err
	}
	p, err := g.want(codec.Greeting)
	if err != nil {
		return nil, err
	}
	g.nonce = unhex(field(p.body, 1))
	return g, nil
}

func (g *guest) close() { _ = g.conn.Close() }

// send writes packets, as scripts write them, in one piece.
func (g *guest) send(texts ...string) error {
	var b []byte
	for _, text := range texts {
		p, err := parsePacket(text)
		if err != nil {
			return err
		}
		list, err := p.packets()
		if err != nil {
			return err
		}
		for _, k := range list {
			b = codec.AppendFrame(b, k.Header, k.Body)
		}
	}
	return g.write(b)
}

// write ignores that the server has closed: what it said before says why.
func (g *guest) write(b []byte) error {
	_ = g.conn.SetWriteDeadline(time.Now().Add(g.t.wait))
	if g.web {
		_ = wsutil.WriteClientBinary(g.conn, b)
		return nil
	}
	_, _ = g.conn.Write(b)
	return nil
}

var errNothing = errors.New("nothing")

// next returns the next packet, io.EOF where the server closed the link.
func (g *guest) next(wait time.Duration) (packet, error) {
	_ = g.conn.SetReadDeadline(time.Now().Add(wait))
	for {
		k, n, err := codec.ParseFrame(g.buf, 1<<24)
		if err != nil {
			return packet{}, err
		}
		if n > 0 {
			p, err := packetOf(k)
			g.buf = g.buf[n:]
			return p, err
		}
		var b []byte
		if g.web {
			b, err = wsutil.ReadServerBinary(g.conn)
		} else {
			b = make([]byte, 64<<10)
			n, err = g.conn.Read(b)
			b = b[:n]
		}
		var late net.Error
		switch {
		case len(b) > 0:
			g.buf = append(g.buf, b...)
		case errors.As(err, &late) && late.Timeout():
			return packet{}, errNothing
		case err != nil:
			return packet{}, io.EOF
		}
	}
}

// want waits for a packet of a kind. Heartbeats that no ping asked for, and what the
// game tells, may come at any time.
func (g *guest) want(kind codec.Kind) (packet, error) {
	for end := time.Now().Add(g.t.wait); ; {
		p, err := g.next(time.Until(end))
		switch {
		case err != nil:
			return p, fmt.Errorf("want %v, got %w", kind, err)
		case p.kind == kind:
			return p, nil
		case p.kind != codec.Heartbeat && p.kind != codec.Message || p.flags&codec.Echo != 0:
			return p, fmt.Errorf("want %v, got %v", kind, short(p.String()))
		}
	}
}

// code waits for a REFUSED with one of these codes.
func (g *guest) code(codes ...uint64) (packet, error) {
	p, err := g.want(codec.Refused)
	if err == nil && !slices.Contains(codes, number(p.body, 0)) {
		err = fmt.Errorf("want %v with code %v, got %v", codec.Refused, codes, short(p.String()))
	}
	return p, err
}

// ends sends packets for which the server closes the link: see closed.
func (g *guest) ends(code uint64, texts ...string) error {
	if err := g.send(texts...); err != nil {
		return err
	}
	return g.closed(code)
}

// closed waits until the server has closed the link. A BYE with this code may come
// before, and no other one.
func (g *guest) closed(code uint64) error {
	for end := time.Now().Add(g.t.wait); ; {
		p, err := g.next(time.Until(end))
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("want the link closed, got %w", err)
		case p.kind == codec.Bye && number(p.body, 0) != code:
			return fmt.Errorf("want BYE with code %d, or none, got %v", code, short(p.String()))
		case p.kind != codec.Bye && p.kind != codec.Heartbeat:
			return fmt.Errorf("want the link closed, got %v", short(p.String()))
		}
	}
}

// alive asks, and waits for the echo. Nothing but what the game tells may come before it.
func (g *guest) alive() error {
	const id = 4242
	if err := g.send(fmt.Sprintf("HEARTBEAT echo-wanted seq=%d", id)); err != nil {
		return err
	}
	for end := time.Now().Add(g.t.wait); ; {
		p, err := g.next(time.Until(end))
		switch {
		case err != nil:
			return fmt.Errorf("want the echo of a ping, got %w", err)
		case p.kind != codec.Heartbeat && p.kind != codec.Message:
			return fmt.Errorf("want the echo of a ping, got %v", short(p.String()))
		case p.flags&codec.Echo != 0 && p.from != id:
			return fmt.Errorf("want the echo of ping %d, got %v", id, p)
		case p.flags&codec.Echo != 0:
			return nil
		}
	}
}

func quoted(b []byte) string { return `"0x` + hex.EncodeToString(b) + `"` }

func random16() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return b
}

// later is an attempt above all before.
func (t *target) later() uint64 {
	t.attempt = max(t.attempt+1, uint64(time.Now().UnixMicro()))
	return t.attempt
}

// hello is a HELLO for a seat.
func (g *guest) hello(s *seat, version int, nonce []byte, attempt uint64) string {
	return fmt.Sprintf("HELLO [%d,%s,%s,%s,%q,null,%d]", version, quoted(nonce), s.opening, quoted([]byte(s.ticket)), "conform", attempt)
}

// newcomer is one that the server has not seen.
func (t *target) newcomer() *seat {
	t.logins++
	return &seat{opening: quoted(random16()), ticket: fmt.Sprintf("%s%d", t.ticket, t.logins)}
}

// login opens a session on a new link, and confirms it.
func (t *target) login() (*guest, *seat, error) {
	g, err := t.link()
	if err != nil {
		return nil, nil, err
	}
	s := t.newcomer()
	if err := g.send(g.hello(s, 1, g.nonce, t.later())); err != nil {
		return nil, nil, err
	}
	if err := g.welcomed(s); err != nil {
		return nil, nil, err
	}
	return g, s, g.alive()
}

func (g *guest) welcomed(s *seat) error {
	p, err := g.want(codec.Welcome)
	s.body, s.sid, s.key = p.body, unhex(field(p.body, 0)), unhex(field(p.body, 1))
	return err
}

// claim is what a RESUME says.
type claim struct {
	attempt, recv, lowest uint64
	fresh                 bool   // recv is nil
	key                   []byte // if nil, the seat's
}

// proof is what shows that it comes from the holder of the key: session/SPEC.md 6.2.
func (c *claim) proof(sid, nonce []byte) []byte {
	in := binary.LittleEndian.AppendUint64(append([]byte("lifeline/resume/1"), sid...), c.attempt)
	if c.fresh {
		in = binary.LittleEndian.AppendUint64(append(in, 0), 0)
	} else {
		in = binary.LittleEndian.AppendUint64(append(in, 1), c.recv)
	}
	in = append(binary.LittleEndian.AppendUint64(in, c.lowest), nonce...)
	mac := hmac.New(sha256.New, c.key)
	mac.Write(in)
	return mac.Sum(nil)
}

// resume writes a RESUME.
func (g *guest) resume(s *seat, c claim) error {
	recv := fmt.Sprint(c.recv)
	if c.fresh {
		recv = "null"
	}
	if c.key == nil {
		c.key = s.key
	}
	return g.send(fmt.Sprintf("RESUME [%s,%d,%s,%d,%s]", quoted(s.sid), c.attempt, recv, c.lowest, quoted(c.proof(s.sid, g.nonce))))
}

// back resumes on a new link.
func (t *target) back(s *seat, c claim) (*guest, error) {
	g, err := t.link()
	if err != nil {
		return nil, err
	}
	if c.attempt == 0 {
		c.attempt = t.later()
	}
	return g, g.resume(s, c)
}
