// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// TestScripts plays testdata/scripts, whose language is in SPEC 12, to a
// Client. Clients in other languages are held against the same files.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	more, err := filepath.Glob("testdata/scripts/carriers/*.txt")
	if err != nil || len(more) == 0 {
		t.Fatalf("no scripts of carriers: %v", err)
	}
	for _, file := range append(files, more...) {
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
				a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
				i := 0
				for i < min(len(a), len(b))-1 && a[i] == b[i] {
					i++
				}
				t.Errorf("%s:%d: got %q, want %q; when that is meant, run go test ./session -run TestScripts -update", file, i+1, b[i], a[i])
			}
		})
	}
}

// script is a client and what is around it while it is played to.
type script struct {
	t      *testing.T
	lets   [][2]string
	c      *Client
	now    time.Duration
	wall   time.Time
	random time.Duration
	room   int
	stamp  bool // lines tell the time
	sealed bool // the link has datagrams besides its stream
	lines  []line
}

// line is one line of what happened. Packets that only count on share one.
type line struct {
	before, after string
	from, to      int // of seq, if from is not 0
}

// playScript returns the script with what the client did in place of what was
// expected.
func playScript(t *testing.T, text string) string {
	s := &script{t: t, wall: noon, room: 1 << 20}
	var out strings.Builder
	for _, l := range strings.SplitAfter(text, "\n") {
		if strings.HasPrefix(l, "\t") {
			continue // what was expected
		}
		out.WriteString(l)
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		s.do(l)
		for _, l := range s.lines {
			out.WriteString("\t" + s.shorten(l.String()) + "\n")
		}
		s.lines = nil
	}
	return out.String()
}

func (l line) String() string {
	switch {
	case l.from == 0:
		return l.before + l.after
	case l.from == l.to:
		return fmt.Sprintf("%s seq=%d%s", l.before, l.from, l.after)
	}
	return fmt.Sprintf("%s seq=%d-%d%s", l.before, l.from, l.to, l.after)
}

func (s *script) print(before string, seq int, after string) {
	if s.stamp {
		before = seconds(s.now) + " " + before
	}
	if n := len(s.lines) - 1; seq > 0 && n >= 0 {
		if l := &s.lines[n]; l.before == before && l.after == after && l.to+1 == seq {
			l.to++
			return
		}
	}
	s.lines = append(s.lines, line{before, after, seq, seq})
}

func (s *script) expand(text string) string {
	for i := len(s.lets) - 1; i >= 0; i-- {
		text = strings.ReplaceAll(text, "$"+s.lets[i][0], s.lets[i][1])
	}
	return text
}

func (s *script) shorten(text string) string {
	for _, l := range s.lets {
		text = strings.ReplaceAll(text, l[1], "$"+l[0])
	}
	return text
}

func seconds(d time.Duration) string {
	if d == Never {
		return "never"
	}
	return strconv.FormatFloat(d.Round(time.Microsecond).Seconds(), 'f', -1, 64) + "s"
}

func (s *script) do(text string) {
	s.t.Helper()
	verb, rest, _ := strings.Cut(text, " ")
	duration := func() time.Duration {
		d, err := time.ParseDuration(rest)
		if err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
		return d
	}
	switch verb {
	case "after":
		b, err := os.ReadFile("testdata/scripts/" + rest + ".txt")
		if err != nil {
			s.t.Fatal(err)
		}
		for l := range strings.Lines(string(b)) {
			if l = strings.TrimRight(l, "\n"); l != "" && l[0] != '#' && l[0] != '\t' {
				s.do(l)
			}
		}
		s.lines = nil
		return
	case "let":
		name, value, _ := strings.Cut(rest, " ")
		s.lets = append(s.lets, [2]string{name, value})
		return
	case "random":
		s.random = duration()
		return
	case "room":
		s.room, _ = strconv.Atoi(rest)
		return
	case "config":
		s.config(s.expand(rest))
	case "up":
		s.up(strings.Fields(s.expand(rest)))
	case "down":
		s.c.LinkDown(s.now)
	case "dropped":
		s.c.LinkDropped(s.now)
	case "saw":
		s.c.Saw(s.now)
	case "in":
		s.in(s.expand(rest))
	case "send":
		s.send(s.expand(rest))
	case "hold":
		s.c.Hold(rest == "on")
	case "hurry":
		s.c.Hurry(s.now)
	case "pause":
		s.c.Pause(s.now)
	case "close":
		s.c.Close()
	case "advance":
		s.advance(duration())
		return
	case "stall": // nobody looks meanwhile
		d := duration()
		s.now, s.wall = s.now+d, s.wall.Add(d)
	case "sleep": // the clock stands still, the wall clock goes on
		s.wall = s.wall.Add(duration())
	case "state":
		n, size := s.c.Queued()
		s.print(fmt.Sprintf("%v session=%v queued=%d/%d received=%d routes=%d rtt=%s due=%s",
			s.c.State(), s.c.Token() != "", n, size, s.c.Received(), len(s.c.Routes()), seconds(s.c.RTT()), seconds(s.c.Due())), 0, "")
		if at := s.c.Address(); at != "" {
			s.print("at "+at, 0, "")
		}
		return
	default:
		s.t.Fatalf("no command: %s", text)
	}
	s.settle()
}

func (s *script) config(text string) {
	var cfg struct {
		Ticket, Info, Token                                                  string
		MaxPackets, MaxBytes, MaxReceive, OpeningTimeout, MinDelay, MaxDelay int
	}
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		s.t.Fatalf("config %s: %v", text, err)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	c, err := NewClient(ClientConfig{
		Ticket: func() ([]byte, bool) {
			if cfg.Ticket == "" {
				return nil, true
			}
			return []byte(cfg.Ticket), true
		},
		Info: cfg.Info, Token: cfg.Token, MaxPackets: cfg.MaxPackets, MaxBytes: cfg.MaxBytes, MaxReceive: cfg.MaxReceive,
		OpeningTimeout: ms(cfg.OpeningTimeout), MinDelay: ms(cfg.MinDelay), MaxDelay: ms(cfg.MaxDelay),
		Rand: func() uint64 { return uint64(s.random) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.c = c
}

// up opens the link: a stream, or what the words say.
func (s *script) up(words []string) {
	carrier := strings.Join(words[:min(1, len(words))], "")
	s.sealed = carrier == "kcp"
	s.c.LinkUp(s.now, s.wall, carrier == "plain-kcp")
	if s.sealed {
		version, err := strconv.Atoi(words[1])
		nonce, err2 := hex.DecodeString(strings.TrimPrefix(strings.Trim(words[2], `"`), "0x"))
		if err != nil || err2 != nil {
			s.t.Fatalf("up %v", words)
		}
		s.c.Greeted(uint8(version), Nonce(nonce), s.now)
	}
}

// settle is what the owner of a client does after everything that happens.
func (s *script) settle() {
	for {
		action := s.c.Check(s.now, s.wall)
		s.changes()
		if action == Wait {
			break
		}
		if action == Dial {
			s.print("dial", 0, "")
			break
		}
		s.output(0)
		s.print("cut", 0, "")
	}
	s.output(s.room)
}

func (s *script) changes() {
	names := map[ChangeKind]string{Opened: "opened", Lost: "lost", Resumed: "resumed", WasReset: "reset", Ending: "ending", Moving: "moving", PutOff: "put off"}
	for _, ch := range s.c.Changes() {
		text := names[ch.Kind]
		if ch.Err != nil {
			text += fmt.Sprintf(" %d", ch.Err.Code)
			if ch.Err.Remote {
				text += " by the server"
			}
		}
		if ch.Kind == PutOff {
			text += " for " + seconds(ch.Delay)
		}
		if ch.Stuck {
			text += " stuck"
		}
		if ch.Kind == Moving {
			text += " after " + seconds(ch.Delay) + " " + ch.Address
		}
		s.print(strings.TrimRight(text, " "), 0, "")
		for _, p := range ch.Undelivered {
			s.print("undelivered "+p.Kind.String(), 0, s.body(p.Body))
		}
	}
}

func (s *script) output(room int) {
	if s.sealed {
		s.frames("out datagram", s.c.OutputDatagram(nil, s.now))
	}
	s.frames("out", s.c.Output(nil, s.now, room))
}

func (s *script) frames(what string, b []byte) {
	for len(b) > 0 {
		p, n, err := codec.ParseFrame(b, 1<<28)
		if err != nil || n == 0 {
			s.t.Fatalf("it wrote %x: %v", b, err)
		}
		s.packet(what, p)
		b = b[n:]
	}
}

// advance lets the time pass for a client that looks when it is due.
func (s *script) advance(d time.Duration) {
	s.stamp = true
	defer func() { s.stamp = false }()
	for end := s.now + d; ; {
		at := max(min(s.c.Due(), end), s.now)
		s.wall = s.wall.Add(at - s.now)
		s.now = at
		last := s.c.Due() > end
		s.settle()
		if last {
			return
		}
	}
}

func (s *script) send(text string) {
	kind, value, _ := strings.Cut(text, " ")
	err := s.c.Send(kindNamed(kind), s.encode(value))
	switch {
	case errors.Is(err, ErrFull):
		s.print("full", 0, "")
	case errors.Is(err, ErrClosed):
		s.print("closed", 0, "")
	case err != nil:
		s.print("refused", 0, "")
	}
}

// in hands the client the packet that text describes, or several that count on.
func (s *script) in(text string) {
	receive := s.c.Receive
	text, datagram := strings.CutPrefix(text, "datagram ")
	if datagram {
		receive = s.c.ReceiveDatagram
	}
	name, rest, _ := strings.Cut(text, " ")
	p := codec.Packet{Header: codec.Header{Kind: kindNamed(name)}}
	from, to := 0, 0
	for rest != "" && rest[0] != '[' && rest[0] != '{' {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "echo-wanted":
			p.Flags |= codec.EchoWanted
		case "echo":
			p.Flags |= codec.Echo
		case "hold":
			p.Flags |= codec.Hold
		case "ack":
			n, _ := strconv.ParseUint(value, 10, 64)
			p.Ack = uint32(n)
		case "seq":
			a, b, several := strings.Cut(value, "-")
			from, _ = strconv.Atoi(a)
			if to = from; several {
				to, _ = strconv.Atoi(b)
			}
		default:
			s.t.Fatalf("in %s: %s", text, word)
		}
	}
	if rest != "" {
		p.Body = s.encode(rest)
	}
	for seq := from; seq <= to; seq++ {
		p.Seq = uint16(seq)
		deliver, err := receive(p, s.now)
		s.changes()
		if err != nil {
			s.broken(err)
			return
		}
		if deliver {
			s.packet("deliver", p)
		}
	}
}

func (s *script) broken(err error) {
	words := map[error]string{ErrGap: "gap", ErrUnsent: "unsent", ErrKind: "kind", ErrFenced: "fenced", ErrControl: "control"}
	for is, word := range words {
		if errors.Is(err, is) {
			s.print("broken "+word, 0, "")
			if is != ErrFenced { // that one was left already
				s.c.LinkDown(s.now)
			}
			return
		}
	}
	s.t.Fatalf("an error without a word: %v", err)
}

func (s *script) packet(what string, p codec.Packet) {
	before, after := what+" "+p.Kind.String(), ""
	for i, flag := range []string{" echo-wanted", " echo", " hold"} {
		if p.Flags&(1<<i) != 0 {
			before += flag
		}
	}
	if p.Ack != 0 {
		after = fmt.Sprintf(" ack=%d", p.Ack)
	}
	s.print(before, int(p.Seq), after+s.body(p.Body))
}

func kindNamed(name string) codec.Kind {
	k := codec.Heartbeat
	for k <= codec.Datagram && k.String() != name {
		k++
	}
	return k
}

// body returns a msgpack value as JSON, bytes as "0x..." and many zeros as
// {"zeros": n}.
func (s *script) body(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	var v any
	if err := codec.DecodeBody(b, &v); err != nil {
		s.t.Fatalf("%x: %v", b, err)
	}
	text, err := json.Marshal(printable(v))
	if err != nil {
		s.t.Fatal(err)
	}
	return " " + string(text)
}

const manyZeros = 33

func printable(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = printable(v[i])
		}
		return list
	case []byte:
		if len(v) >= manyZeros && len(bytes.Trim(v, "\x00")) == 0 {
			return map[string]int{"zeros": len(v)}
		}
		return "0x" + hex.EncodeToString(v)
	}
	return v
}

func (s *script) encode(text string) []byte {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	b, err := codec.AppendBody(nil, encodable(v))
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	return b
}

func encodable(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = encodable(v[i])
		}
		return list
	case map[string]any:
		n, _ := v["zeros"].(json.Number).Int64()
		return make([]byte, min(n, math.MaxInt32))
	case json.Number:
		n, _ := strconv.ParseUint(v.String(), 10, 64)
		return n
	case string:
		if digits, ok := strings.CutPrefix(v, "0x"); ok {
			if b, err := hex.DecodeString(digits); err == nil {
				return b
			}
		}
	}
	return v
}
