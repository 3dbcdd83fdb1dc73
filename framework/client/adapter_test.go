// SPDX-License-Identifier: MIT

package client_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// TestAdapter is no test but the program that framework/conform plays scripts to
// over sockets: its README has the language. It runs where LIFELINE_ADAPTER is
// "client".
func TestAdapter(t *testing.T) {
	if os.Getenv("LIFELINE_ADAPTER") != "client" {
		t.Skip("framework/conform runs it")
	}
	a := &adapter{set: make(map[string]string)}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		a.do(strings.Fields(in.Text()))
		a.say(".")
	}
}

// adapter is a client that does what it is told. Only mu is shared with the
// client's own goroutines.
type adapter struct {
	set    map[string]string
	c      *client.Client
	random atomic.Uint64
	mu     sync.Mutex // of the standard output
}

func (a *adapter) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Printf(format+"\n", args...)
}

// Read is where the client's numbers come from. Keys are as random as ever.
func (a *adapter) Read(b []byte) (int, error) {
	if len(b) != 8 {
		return rand.Read(b)
	}
	binary.LittleEndian.PutUint64(b, a.random.Load())
	return len(b), nil
}

func (a *adapter) do(words []string) {
	switch words[0] {
	case "set":
		a.set[words[1]] = strings.Join(words[2:], " ")
	case "random":
		n, _ := strconv.ParseUint(words[1], 10, 64)
		a.random.Store(n)
	case "open":
		a.open()
	case "send":
		a.sent(a.c.Send(words[1], payload(words[2])))
	case "request":
		go func() { _ = a.c.Request(context.Background(), words[1], payload(words[2]), nil) }()
		time.Sleep(10 * time.Millisecond)
	case "hurry":
		a.c.Hurry()
	case "pause":
		a.c.Pause()
	case "cut":
		a.c.Cut()
	case "close":
		_ = a.c.Close()
	default:
		a.say("unsupported")
	}
}

// payload reads hexadecimal digits.
func payload(digits string) codec.Raw {
	b, _ := hex.DecodeString(digits)
	return b
}

func (a *adapter) sent(err error) {
	switch {
	case errors.Is(err, session.ErrFull):
		a.say("full")
	case errors.Is(err, session.ErrClosed):
		a.say("closed")
	case err != nil:
		a.say("refused")
	}
}

func (a *adapter) open() {
	number := func(name string) int { n, _ := strconv.Atoi(a.set[name]); return n }
	ms := func(name string) time.Duration { return time.Duration(number(name)) * time.Millisecond }
	cfg := client.Config{
		Info: a.set["info"], Token: a.set["token"], ServerKey: a.set["key"], Rand: a, OnEvent: a.event,
		MaxPackets: number("max-packets"), MaxBytes: number("max-bytes"), MaxReceive: number("max-receive"),
		OpeningTimeout: ms("opening-timeout"), MinDelay: ms("min-delay"), MaxDelay: ms("max-delay"), CloseTimeout: -1,
		OnMessage: func(route string, p codec.Raw) { a.say("deliver %s %x", route, []byte(p)) },
		Logger:    slog.New(slog.DiscardHandler),
	}
	if ticket := a.set["ticket"]; ticket != "" {
		cfg.Ticket = func(context.Context) ([]byte, error) { return []byte(ticket), nil }
	}
	if fault := os.Getenv("LIFELINE_FAULT"); fault != "" {
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &badCable{Conn: c, fault: fault}, err
		}
	}
	c, err := client.New([]string{a.set["address"]}, cfg)
	if err != nil {
		a.say("error %v", err)
		return
	}
	c.SetSpeed(max(number("speed"), 1))
	a.c = c
	go func() { _ = c.Connect(context.Background()) }() // ends with the client
	time.Sleep(10 * time.Millisecond)
}

// event tells what becomes of the session.
func (a *adapter) event(e client.Event) {
	words := map[client.EventKind]string{
		client.EventOpened: "opened", client.EventLost: "lost", client.EventResumed: "resumed", client.EventReset: "reset",
		client.EventGone: "ending", client.EventClosed: "ending", client.EventMoving: "moving", client.EventRefused: "put off",
	}
	word := words[e.Kind]
	if word == "" {
		return
	}
	var end *session.CloseError
	if errors.As(e.Err, &end) {
		word += fmt.Sprintf(" %d", end.Code)
	}
	a.say("%s", word)
	for _, m := range e.Undelivered {
		a.say("undelivered %s %x", m.Route, []byte(m.Payload))
	}
}

// badCable makes of a good client one that breaks a rule.
type badCable struct {
	net.Conn
	fault string
}

// Write takes whole frames.
func (c *badCable) Write(b []byte) (int, error) {
	var out []byte
	for rest := b; len(rest) > 0; {
		p, n, err := codec.ParseFrame(rest, 1<<20)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("no whole frames: %w", err)
		}
		switch rest = rest[n:]; {
		case c.fault == "ack" && p.Ack > 0:
			p.Ack--
		case c.fault == "confirm" && p.Kind == codec.Heartbeat:
			continue
		case c.fault == "proof" && p.Kind == codec.Resume:
			p.Body[len(p.Body)-1] ^= 1
		}
		out = codec.AppendFrame(out, p.Header, p.Body)
	}
	_, err := c.Conn.Write(out)
	return len(b), err
}

// TestConform lets framework/conform play some scripts to this client, and to ones
// that break a rule. .ci/run plays all of them, on every carrier.
func TestConform(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs other programs")
	}
	t.Setenv("LIFELINE_ADAPTER", "client")
	conform := filepath.Join(t.TempDir(), "conform.exe") // Windows wants the ending
	if out, err := exec.Command("go", "build", "-o", conform, "../conform").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for fault, want := range map[string]string{
		"": "4 of 4 scripts as they should be", "ack": "ack (session/SPEC.md 4.3)",
		"confirm": "confirm (session/SPEC.md 6.6)", "proof": "proof (session/SPEC.md 6.2)",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Setenv("LIFELINE_FAULT", fault)
			cmd := exec.Command(conform, "client", "-scripts", "../../session/testdata/scripts", "-only", "acknowledge,gone,resume,unknown", "--", os.Args[0], "-test.run", "^TestAdapter$")
			b, err := cmd.CombinedOutput()
			if !strings.Contains(string(b), want) || (err == nil) != (fault == "") {
				t.Fatalf("%v\n%s", err, b)
			}
		})
	}
}
