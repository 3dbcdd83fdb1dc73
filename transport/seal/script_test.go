// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestScripts plays testdata/scripts, whose language is in the README there: those
// of a client to its handshakes, its half of a link and its judgement of resets,
// those of a server to Paths. Clients in other languages are held against the same
// files.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScript(t, string(want))
			switch {
			case got == string(want):
			case *update:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s: got\n%s\nwhen that is meant, run go test ./transport/seal -run TestScripts -update", file, got)
			}
		})
	}
}

// script is what is played to: a client, or the paths of a server's link.
type script struct {
	t      *testing.T
	now    time.Duration
	random bytes.Buffer
	lets   [][2]string
	lines  []string
	stamp  bool

	dialing *Dialing
	conn    *Conn // nil before the link
	server  Conn  // its other end
	doubt   ResetDetector
	tails   [][]byte // of what the client sent
	over    bool
	closes  int // copies that are left
	closeAt time.Duration

	paths Paths
}

func playScript(t *testing.T, text string) string {
	s := &script{t: t}
	var out strings.Builder
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "\t") {
			continue // what was expected
		}
		out.WriteString(l)
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		for _, let := range s.lets {
			l = strings.ReplaceAll(l, "$"+let[0], let[1])
		}
		s.do(strings.Fields(l))
		for _, l := range s.lines {
			for _, let := range s.lets {
				l = strings.ReplaceAll(l, let[1], "$"+let[0])
			}
			out.WriteString("\t" + l + "\n")
		}
		s.lines = nil
	}
	return out.String()
}

func (s *script) print(format string, args ...any) {
	l := fmt.Sprintf(format, args...)
	if s.stamp {
		l = strconv.FormatFloat(s.now.Seconds(), 'f', -1, 64) + "s " + l
	}
	s.lines = append(s.lines, l)
}

func (s *script) hex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *script) do(w []string) {
	switch w[0] {
	case "let":
		s.lets = append(s.lets, [2]string{w[1], w[2]})
	case "random":
		s.random.Write(s.hex(w[1]))
	case "hello":
		s.dial(w[1], nil, nil)
	case "resume":
		s.dial(w[3], s.hex(w[1]), s.hex(w[2]))
	case "in":
		s.in(w[1:])
	case "send":
		s.send(TypeSealed, s.hex(w[1]))
	case "close":
		s.closes, s.closeAt = CloseCopies, s.now
	case "advance":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.advance(d)
		return
	default:
		s.doPaths(w)
		return
	}
	s.look()
}

func (s *script) dial(key string, session, sealKey []byte) {
	server, err := ParsePublicKey(key)
	if err != nil {
		s.print("refused")
		return
	}
	hello := func() (*Initiator, error) { return NewInitiator(server, &s.random) }
	*s = script{t: s.t, now: s.now, lets: s.lets, random: s.random}
	if session == nil {
		s.dialing = NewDialing(s.now, hello)
		return
	}
	s.dialing = NewDialing(s.now, func() (*Initiator, error) {
		return NewResumer([16]byte(session), [32]byte(sealKey), &s.random)
	}, hello)
}

// look does what is due.
func (s *script) look() {
	switch {
	case s.dialing != nil && s.conn == nil:
		hellos, err := s.dialing.Hellos(s.now)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, b := range hellos {
			s.hello(b)
		}
	case s.conn != nil && !s.over:
		if lost, _ := s.doubt.Lost(s.now); lost {
			s.over = true
			s.print("lost reset")
		}
	}
	for ; s.closes > 0 && s.now >= s.closeAt; s.closeAt += CloseEvery {
		s.closes--
		s.over = true
		s.send(TypeControl, Control{Kind: ControlClose}.Append(nil, 0))
	}
}

func (s *script) due() time.Duration {
	switch {
	case s.closes > 0:
		return s.closeAt
	case s.conn == nil && s.dialing != nil:
		return s.dialing.Due()
	case s.conn != nil && !s.over:
		if _, due := s.doubt.Lost(s.now); due > 0 {
			return due
		}
	}
	return 1<<63 - 1
}

func (s *script) advance(d time.Duration) {
	s.stamp = true
	defer func() { s.stamp = false }()
	for end := s.now + d; ; {
		due := max(s.due(), s.now)
		s.now = min(due, end)
		s.look()
		if due >= end {
			return
		}
	}
}

func (s *script) hello(b []byte) {
	if len(b) != HelloSize || len(bytes.Trim(b[helloEnd:], "\x00")) > 0 {
		s.t.Errorf("a hello of %d bytes", len(b))
	}
	name := "HELLO"
	if b[4] == byte(TypeResumeHello) {
		name = "RESUME-HELLO"
	}
	s.print("out %s cookie=%x %x", name, b[atCookie:atName], b[atName:helloEnd])
}

var scriptTypes = map[string]PacketType{"sealed": TypeSealed, "control": TypeControl}

// send seals what the client says.
func (s *script) send(t PacketType, plain []byte) {
	number := s.conn.next
	b, err := s.conn.Seal(append(make([]byte, HeaderSize), plain...), t)
	if err != nil {
		s.t.Fatal(err)
	}
	s.doubt.Sent(b)
	s.tails = append(s.tails, b[len(b)-8:])
	name := "sealed"
	if t == TypeControl {
		name = "control"
	}
	s.print("out %s %d %x", name, number, plain)
}

// in hands the client a datagram: bytes, or what the server seals.
func (s *script) in(w []string) {
	var b []byte
	t, seals := scriptTypes[w[0]]
	switch {
	case seals:
		s.server.next, _ = strconv.ParseUint(w[1], 10, 64)
		b, _ = s.server.Seal(append(make([]byte, HeaderSize), s.hex(w[2])...), t)
		if len(w) > 3 { // forged
			b[len(b)-1] ^= 1
		}
	case w[0] == "reset":
		b = append(s.hex(fmt.Sprintf("%08x1f010000", bits(s.conn.ID()))), s.tail(w[1])...)
	default:
		b = s.hex(w[0])
	}
	switch {
	case s.over:
		s.print("drop")
	case s.conn == nil:
		s.answer(b)
	default:
		s.take(b)
	}
}

func bits(id uint32) uint32 { return id<<24 | id>>24 | id<<8&0xff0000 | id>>8&0xff00 }

// tail returns the last 8 bytes of what the client sent as number n, or the bytes themselves.
func (s *script) tail(text string) []byte {
	if n, err := strconv.Atoi(text); err == nil && len(text) < 16 {
		return s.tails[n]
	}
	return s.hex(text)
}

func (s *script) answer(b []byte) {
	link, again := s.dialing.Handle(b)
	switch {
	case link != nil:
		s.conn = &link.Conn
		s.server = Conn{sealer: link.Conn.opener, opener: link.Conn.sealer, id: link.Conn.id}
		s.print("open connection=%d greeting=%x nonce=%x", link.Conn.ID(), link.Greeting, link.Nonce)
	case again != nil:
		s.hello(again)
	default:
		s.print("drop")
	}
}

// take is what a client does with a datagram of its link: SPEC 6 to 8.
func (s *script) take(b []byte) {
	id, t, ok := Parse(b)
	if !ok || id != s.conn.ID() {
		s.print("drop")
		return
	}
	if t == TypeReset {
		if ask, _ := s.doubt.Reset(s.now, b); !ask {
			s.print("drop")
			return
		}
		c := Control{Kind: ControlChallenge}
		_, _ = s.random.Read(c.Token[:])
		s.send(TypeControl, c.Append(nil, 0))
		return
	}
	o, err := s.conn.Open(b)
	if err != nil {
		s.print("drop")
		return
	}
	s.doubt.Received()
	if t == TypeSealed {
		frames, segments, err := SplitPayload(o.Plain)
		if err != nil {
			s.print("drop")
			return
		}
		s.print("deliver %d frames=%x segments=%x", o.Number, frames, segments)
		return
	}
	c, err := ParseControl(o.Plain)
	switch {
	case err != nil:
		s.print("drop")
	case c.Kind == ControlChallenge:
		c.Kind = ControlResponse
		s.send(TypeControl, c.Append(nil, 0))
	case c.Kind == ControlClose:
		s.over = true
		s.print("lost close")
	}
}

// doPaths is what a server does about the addresses of one link: SPEC 7.
func (s *script) doPaths(w []string) {
	from := func(i int) netip.AddrPort { return netip.MustParseAddrPort(w[i]) }
	switch w[0] {
	case "path":
		size, _ := strconv.Atoi(w[2])
		if c, ask := s.paths.Received(s.now, from(1), size, len(w) < 4, &s.random); ask {
			s.print("challenge %x", c)
		}
	case "active":
		s.paths.ReceivedActive()
	case "mirror":
		size, _ := strconv.Atoi(w[1])
		if to, ok := s.paths.MirrorTo(s.now, size); ok {
			s.print("copy to %v", to)
		}
	case "response":
		if s.paths.Validate(s.now, from(1), [8]byte(s.hex(w[2]))) {
			s.print("active %v", from(1))
		} else {
			s.print("ignored")
		}
	default:
		s.t.Fatalf("no command: %v", w)
	}
}
