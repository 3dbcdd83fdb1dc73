// SPDX-License-Identifier: MIT

package kcp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// pair returns both ends of a conversation.
func pair(cfg *Config) (a, b *Conn) {
	a, b = new(Conn), new(Conn)
	a.Init(9, cfg)
	b.Init(9, cfg)
	return a, b
}

// flush returns all datagrams that c sends at now.
func flush(c *Conn, now time.Duration) [][]byte {
	var all [][]byte
	for {
		d := c.Output(now, nil, maxMTU)
		if len(d) == 0 {
			return all
		}
		all = append(all, d)
	}
}

// feed gives datagrams to c.
func feed(t *testing.T, c *Conn, now time.Duration, datagrams ...[]byte) {
	t.Helper()
	for _, d := range datagrams {
		if err := c.Input(now, d); err != nil {
			t.Fatalf("Input(%s): %v", show(d), err)
		}
	}
}

func write(t *testing.T, c *Conn, b []byte) {
	t.Helper()
	if err := c.Write(b); err != nil {
		t.Fatalf("Write(%d bytes): %v", len(b), err)
	}
}

// drain reads all that c has.
func drain(c *Conn) []byte {
	var all []byte
	for b := c.Peek(); b != nil; b = c.Peek() {
		all = append(all, b...)
		c.Discard(len(b))
	}
	return all
}

// build makes a datagram of segments; each payload is size times 'x'.
func build(headers ...header) []byte {
	var b []byte
	for _, h := range headers {
		b = h.append(b)
		b = append(b, bytes.Repeat([]byte{'x'}, int(h.size))...)
	}
	return b
}

func parse(d []byte) []header {
	var all []header
	for len(d) >= HeaderSize {
		h := parseHeader(d)
		all = append(all, h)
		d = d[HeaderSize+int(h.size):]
	}
	return all
}

// show writes datagrams as tests compare them: "push 0:5" is number and size.
func show(datagrams ...[]byte) string {
	var out []string
	for _, d := range datagrams {
		var one []string
		for _, h := range parse(d) {
			switch h.cmd {
			case cmdPush:
				one = append(one, fmt.Sprintf("push %d:%d", h.sn, h.size))
			case cmdAck:
				one = append(one, fmt.Sprintf("ack %d", h.sn))
			case cmdWindowAsk:
				one = append(one, "ask")
			case cmdWindowTell:
				one = append(one, fmt.Sprintf("tell %d", h.wnd))
			}
		}
		out = append(out, strings.Join(one, ", "))
	}
	return strings.Join(out, " | ")
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

// audit checks what must hold between any two calls.
func (c *Conn) audit() error {
	var flying, lost, queued, readable, outOfOrder int
	due := Never
	for s := c.sndBuf.head; s != nil; s = s.next {
		flying++
		if s.pending {
			lost++
		} else if s == c.sndBuf.head || !c.backedOff() {
			due = min(due, s.due)
		}
		if !before(s.sn, c.sndNxt) || s.next != nil && !before(s.sn, s.next.sn) {
			return fmt.Errorf("segment %d in flight is out of order", s.sn)
		}
	}
	for s := c.sndQueue.head; s != nil; s = s.next {
		queued++
	}
	for s := c.rcvQueue.head; s != nil; s = s.next {
		readable++
	}
	for s := c.rcvBuf.head; s != nil; s = s.next {
		outOfOrder++
		if !before(c.rcvNxt, s.sn) || s.next != nil && !before(s.sn, s.next.sn) {
			return fmt.Errorf("rcvBuf is not sorted at segment %d", s.sn)
		}
		if s.pending && c.pending&pendingRcvBufAcks == 0 {
			return fmt.Errorf("the ack of segment %d in rcvBuf is forgotten", s.sn)
		}
	}
	switch {
	case flying != int(c.inFlight) || lost != int(c.toResend) || queued != int(c.queued) || readable != int(c.readable):
		return fmt.Errorf("counted %d in flight, %d lost, %d queued, %d readable: %+v", flying, lost, queued, readable, c)
	case readable+outOfOrder > c.cfg.recvWindow():
		return fmt.Errorf("%d readable and %d out of order exceed the receive window", readable, outOfOrder)
	case !c.stalled && due < c.due:
		return fmt.Errorf("a segment times out at %v, before %v", due, c.due)
	case flying == 0 && c.due != Never:
		return fmt.Errorf("nothing in flight times out at %v", c.due)
	case c.rto != c.cfg.boundRTO(c.rto):
		return fmt.Errorf("RTO is %v", c.rto)
	}
	return nil
}
