// SPDX-License-Identifier: MIT

package kcp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/scripts")

// TestScripts plays testdata/scripts, whose language is in the README there, to a
// Conn. KCPs in other languages are held against the same files.
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
			if *update && got != string(want) {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
			for i := range max(len(a), len(b)) {
				if i >= len(a) || i >= len(b) || a[i] != b[i] {
					t.Fatalf("%s:%d: got\n%s\nwant\n%s\nwhen that is meant, run go test ./transport/kcp -run TestScripts -update", file, i+1, strings.Join(b[min(i, len(b)):], "\n"), strings.Join(a[min(i, len(a)):], "\n"))
				}
			}
		})
	}
}

// script is a Conn and its clock while it is played to.
type script struct {
	t     *testing.T
	cfg   *Config
	c     Conn
	now   time.Duration
	raw   bool // datagrams are printed as bytes
	stamp bool // lines tell the time
	lines []string
}

const scriptLimit = 1472 // the largest datagram that a look may make

func playScript(t *testing.T, text string) string {
	s := &script{t: t}
	s.config("")
	var out strings.Builder
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "\t") {
			continue // what was expected
		}
		out.WriteString(l)
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		s.do(l)
		for _, l := range s.lines {
			out.WriteString("\t" + l + "\n")
		}
		s.lines = nil
	}
	return out.String()
}

func (s *script) print(format string, args ...any) {
	l := fmt.Sprintf(format, args...)
	if s.stamp {
		l = scriptSeconds(s.now) + " " + l
	}
	s.lines = append(s.lines, l)
}

func scriptSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Round(time.Microsecond).Seconds(), 'f', -1, 64) + "s"
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *script) number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return uint32(n)
}

func (s *script) do(text string) {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "config":
		s.config(rest)
		return
	case "clock":
		s.now = s.duration(rest)
		return
	case "numbers":
		sent, received, _ := strings.Cut(rest, " ")
		s.c.sndNxt, s.c.rcvNxt = s.number(sent), s.number(received)
		s.c.sndLimit = s.c.sndNxt + startWindow
		return
	case "bytes":
		s.raw = rest == "on"
		return
	case "state":
		st := s.c.Stats()
		s.print("srtt=%s retransmits=%d repeats=%d settled=%v stalled=%v", scriptSeconds(st.SRTT), st.Retransmits, s.cfg.Repeats, st.InFlight+st.Queued == 0, s.c.Err() != nil)
		return
	case "advance":
		s.advance(s.duration(rest))
		return
	case "write":
		if errors.Is(s.c.Write(scriptData(rest)), ErrFull) {
			s.print("full")
		}
	case "in":
		if err := s.c.Input(s.now, s.datagram(rest)); err != nil {
			s.print("refused %s", scriptWords[err])
		}
	case "read":
		var b []byte
		for p := s.c.Peek(); p != nil; p = s.c.Peek() {
			b = append(b, p...)
			s.c.Discard(len(p))
		}
		s.print("read %s", scriptText(b))
	case "mtu":
		if err := s.c.SetMTU(int(s.number(rest))); err != nil {
			s.t.Fatal(err)
		}
	case "moved":
		s.c.Moved()
	default:
		s.t.Fatalf("no command: %s", text)
	}
	s.look()
}

var scriptWords = map[error]string{
	ErrShort: "short", ErrConv: "conv", ErrCommand: "command", ErrTruncated: "truncated", ErrFragment: "fragment",
	ErrUnsent: "unsent", ErrTooLarge: "too-large", ErrEmpty: "empty", ErrWindow: "window",
}

func (s *script) config(words string) {
	s.cfg = new(Config)
	conv := uint32(9)
	for word := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "conv":
			conv = s.number(value)
		case "cut":
			s.cfg.Cut = int(s.number(value))
		case "send":
			s.cfg.SendWindow = int(s.number(value))
		case "receive":
			s.cfg.RecvWindow = int(s.number(value))
		case "stall":
			s.cfg.StallTimeout = s.duration(value)
		default:
			s.t.Fatalf("no setting: %s", word)
		}
	}
	s.c.Init(conv, s.cfg)
}

// look sends all that is due.
func (s *script) look() {
	for {
		b := s.c.Output(s.now, nil, scriptLimit)
		if len(b) == 0 {
			return
		}
		s.print("out %s", s.text(b))
	}
}

func (s *script) advance(d time.Duration) {
	s.stamp = true
	defer func() { s.stamp = false }()
	was := s.c.Err()
	for end := s.now + d; ; {
		at := max(min(s.c.NextDeadline(s.now), end), s.now)
		last := at == end
		s.now = at
		s.look()
		if was == nil && s.c.Err() != nil {
			was = s.c.Err()
			s.print("stalled")
		}
		if last {
			return
		}
	}
}

var scriptCommands = map[string]byte{"PUSH": cmdPush, "ACK": cmdAck, "WASK": cmdWindowAsk, "WINS": cmdWindowTell}

// datagram reads segments with "; " between, or bytes.
func (s *script) datagram(text string) (b []byte) {
	if raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", "")); err == nil {
		return raw
	}
	for text := range strings.SplitSeq(text, "; ") {
		h := header{conv: s.c.conv, wnd: 128}
		name, words, _ := strings.Cut(text, " ")
		h.cmd = scriptCommands[name]
		var data []byte
		for word := range strings.FieldsSeq(words) {
			key, value, ok := strings.Cut(word, "=")
			switch key {
			case "sn":
				h.sn = s.number(value)
			case "ts":
				h.ts = s.number(value)
			case "una":
				h.una = s.number(value)
			case "wnd":
				h.wnd = uint16(s.number(value))
			case "frg":
				h.frg = uint8(s.number(value))
			case "conv":
				h.conv = s.number(value)
			default:
				if ok {
					s.t.Fatalf("in %s: %s", text, word)
				}
				data = scriptData(word)
			}
		}
		h.size = uint32(len(data))
		b = append(h.append(b), data...)
	}
	return b
}

func (s *script) text(b []byte) string {
	if s.raw {
		return hex.EncodeToString(b)
	}
	var list []string
	for len(b) > 0 {
		h := parseHeader(b)
		data := b[HeaderSize : HeaderSize+h.size]
		b = b[HeaderSize+h.size:]
		l := fmt.Sprintf("%s sn=%d ts=%d una=%d wnd=%d", [...]string{"PUSH", "ACK", "WASK", "WINS"}[h.cmd-cmdPush], h.sn, h.ts, h.una, h.wnd)
		if h.conv != s.c.conv || h.frg != 0 {
			l += fmt.Sprintf(" conv=%d frg=%d", h.conv, h.frg)
		}
		if len(data) > 0 {
			l += " " + scriptText(data)
		}
		list = append(list, l)
	}
	return strings.Join(list, "; ")
}

// scriptData reads runs of one letter: a*100+b is 100 a and one b.
func scriptData(text string) (b []byte) {
	for run := range strings.SplitSeq(text, "+") {
		data, times, _ := strings.Cut(run, "*")
		n, err := strconv.Atoi(times)
		if err != nil {
			n = 1
		}
		b = append(b, strings.Repeat(data, n)...)
	}
	return b
}

// scriptText writes what scriptData reads: runs of more than four letters are counted.
func scriptText(b []byte) string {
	var runs []string
	plain := ""
	for len(b) > 0 {
		n := 1
		for n < len(b) && b[n] == b[0] {
			n++
		}
		if n <= 4 {
			plain += string(b[:n])
		} else {
			if plain != "" {
				runs = append(runs, plain)
			}
			plain = ""
			runs = append(runs, fmt.Sprintf("%c*%d", b[0], n))
		}
		b = b[n:]
	}
	if plain != "" || len(runs) == 0 {
		runs = append(runs, plain)
	}
	return strings.Join(runs, "+")
}

// TestScriptExample: the example of SPEC 1 is what a script's first segment looks like.
func TestScriptExample(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, now: time.Millisecond}
	s.config("")
	s.raw = true
	s.do("write hello")
	b, _ := hex.DecodeString(strings.TrimPrefix(s.lines[0], "out "))
	if want := fmt.Sprintf("% x", b); !strings.Contains(string(spec), want) {
		t.Errorf("SPEC.md lacks %s", want)
	}
	if n := binary.LittleEndian.Uint32(b); n != 9 {
		t.Errorf("conversation %d", n)
	}
}
