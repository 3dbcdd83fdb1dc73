// SPDX-License-Identifier: MIT

package client

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/scripts")

// TestScripts plays testdata/scripts, whose language is in the README there, to
// the rules by which a client chooses its address. Clients in other languages are
// held against the same files.
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
				t.Errorf("%s: got\n%s\nwhen that is meant, run go test ./framework/client -run TestScripts -update", file, got)
			}
		})
	}
}

// script is what a client knows of its addresses while it is played to.
type script struct {
	t     *testing.T
	w     ways
	now   time.Duration
	moved string
	lines []string
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
		s.do(l)
		for _, l := range s.lines {
			out.WriteString("\t" + l + "\n")
		}
		s.lines = nil
	}
	return out.String()
}

// index is the place of an address in the app's list, -1 if the server named it.
func (s *script) index(url string) int {
	return slices.IndexFunc(s.w.list, func(a address) bool { return a.String() == url })
}

func (s *script) do(text string) {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "addresses":
		list, err := parseAddresses(strings.Fields(rest))
		if err != nil {
			s.lines = append(s.lines, "refused")
			return
		}
		s.w = newWays(list, new(Config).fallback(), slog.New(slog.DiscardHandler))
	case "dial":
		for _, w := range s.w.next(s.moved, s.now) {
			s.lines = append(s.lines, "try "+w.String())
		}
	case "patience":
		a, err := parseAddress(rest)
		if err != nil {
			s.t.Fatal(err)
		}
		d := s.w.patience(a)
		if d == 0 {
			d = new(Config).dialTimeout()
		}
		s.lines = append(s.lines, d.String())
	case "failed", "stuck":
		s.w.failed(s.index(rest))
	case "opened":
		s.w.worked(s.index(rest), s.now)
	case "moved":
		s.moved = rest
	case "network":
		s.w.networkChanged()
	case "advance":
		d, err := time.ParseDuration(rest)
		if err != nil {
			s.t.Fatal(err)
		}
		s.now += d
	default:
		s.t.Fatalf("no command: %s", text)
	}
}
