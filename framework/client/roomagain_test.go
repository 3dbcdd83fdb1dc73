// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// TestRoomScripts plays testdata/rooms, whose language is in the README there. Clients in
// other languages are held against the same files.
func TestRoomScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/rooms/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if got := playRooms(t, string(want)); got != string(want) {
					t.Errorf("%s: got\n%s", file, got)
				}
			})
		})
	}
}

// roomScript is a client's rooms while a script is played to them.
type roomScript struct {
	rooms
	t    *testing.T
	runs []func() // what comes after the callback that runs now

	mine  sync.Mutex // timers run beside the script
	lines []string
	waits []func(error) // requests, the oldest first
}

func playRooms(t *testing.T, text string) string {
	s := &roomScript{t: t}
	s.begin = func(route string, v any, done func(error)) { s.asked(route, v, done) }
	s.rooms.ask = func(_ context.Context, route string, v, _ any) error {
		s.asked(route, v, func(error) {})
		return nil
	}
	s.later = func(f func()) { s.runs = append(s.runs, f) }
	s.pause = func(most time.Duration) time.Duration { return most }
	for _, name := range []string{"a", "b"} {
		s.get(name).OnJoined(func(key string) { s.say("in", name, key) })
		s.get(name).OnLeft(func(key string, why Reason) { s.say("out", name, key, strconv.Itoa(int(why.Code)), why.Text) })
	}
	var out strings.Builder
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "\t") {
			continue // what was expected
		}
		out.WriteString(l)
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(l, " ")
		s.do(verb, strings.Fields(rest))
		for len(s.runs) > 0 {
			f := s.runs[0]
			s.runs = s.runs[1:]
			f()
		}
		s.mine.Lock()
		for _, l := range s.lines {
			out.WriteString("\t" + l + "\n")
		}
		s.lines = nil
		s.mine.Unlock()
	}
	return out.String()
}

func (s *roomScript) say(words ...string) {
	s.mine.Lock()
	defer s.mine.Unlock()
	s.lines = append(s.lines, strings.TrimSpace(strings.Join(words, " ")))
}

func (s *roomScript) asked(route string, v any, done func(error)) {
	s.say("asks", route, strings.Trim(fmt.Sprint(v), "[]"))
	s.mine.Lock()
	defer s.mine.Unlock()
	s.waits = append(s.waits, done)
}

// answered ends the oldest request.
func (s *roomScript) answered(err error) {
	s.mine.Lock()
	defer s.mine.Unlock()
	if len(s.waits) == 0 {
		s.t.Error("the client has asked for nothing")
		return
	}
	done := s.waits[0]
	s.waits = s.waits[1:]
	s.later(func() { done(err) })
}

func seatOf(words []string) seatNews {
	return seatNews{Type: words[0], Key: words[1], Watching: len(words) > 2}
}

func (s *roomScript) do(verb string, args []string) {
	code := func(i int) (n int) {
		n, err := strconv.Atoi(args[i])
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	var err error
	switch verb {
	case "joined":
		s.joined(seatOf(args))
	case "left":
		s.left(args[0], args[1], Reason{session.Code(code(2)), strings.Join(args[3:], " ")})
	case "all":
		var all []seatNews
		for _, a := range args {
			all = append(all, seatOf(strings.Split(a, "/")))
		}
		s.replace(all)
	case "reset", "restart":
		for len(s.waits) > 0 {
			s.answered(&codec.Error{Code: codec.ErrorReset})
		}
		s.wasReset(verb == "restart")
	case "answer":
		s.answered(nil)
	case "fail":
		s.answered(&codec.Error{Code: codec.ErrorCode(code(0)), Text: strings.Join(args[1:], " ")})
	case "pause":
		time.Sleep(17 * time.Second)
		synctest.Wait()
	case "join":
		_, err = s.get(args[0]).Join(s.t.Context(), args[1])
	case "watch":
		err = s.get(args[0]).Watch(s.t.Context(), args[1])
	case "leave":
		err = s.get(args[0]).Leave(s.t.Context())
	case "end":
		s.leaveAll(Reason{session.Code(code(0)), strings.Join(args[1:], " ")}, func(*Room) bool { return false })
	case "where":
		s.where()
	default:
		s.t.Fatalf("no command: %s", verb)
	}
	if err != nil {
		s.t.Error(err)
	}
}

func (s *roomScript) where() {
	var in []string
	for _, name := range []string{"a", "b"} {
		r := s.get(name)
		if key, ok := r.Key(); ok {
			in = append(in, name+"/"+key+map[bool]string{true: "/watching"}[r.Watching()])
		}
	}
	if in != nil {
		s.say(in...)
	}
}
