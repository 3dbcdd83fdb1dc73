// SPDX-License-Identifier: MIT

package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// TestMain is the command of a studio when the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv("SWARM_COMMAND") != "" {
		Main(Config{Client: patient}, asking)
	}
	os.Exit(m.Run())
}

// patient is for machines that have other things to do: no bot fails for its slowness.
func patient(b *Bot) client.Config {
	return client.Config{DialTimeout: 30 * time.Second, OpeningTimeout: 30 * time.Second, MinDelay: time.Millisecond, MaxDelay: 100 * time.Millisecond,
		Ticket: func(context.Context) ([]byte, error) { return []byte(b.Name), nil }}
}

// asking is a bot that asks for its own number, three times at least: machines that have other
// things to do may need all the time to connect.
func asking(ctx context.Context, b *Bot) error {
	if err := b.Connect(ctx); err != nil {
		return err
	}
	b.Count("wrong", 0)
	for n := 0; b.Think(ctx, 10*time.Millisecond) || n < 3; n++ {
		got := 0
		if err := b.Request(ctx, "echo", b.N, &got); err != nil {
			return err
		}
		if got != b.N {
			b.Count("wrong", 1)
		}
	}
	return nil
}

// serve starts a server with every carrier, and returns its addresses.
func serve(t *testing.T) (srv *framework.Server, addrs map[string]string) {
	t.Helper()
	return serveWith(t, func(*framework.Server) {})
}

func serveWith(t *testing.T, add func(*framework.Server)) (srv *framework.Server, addrs map[string]string) {
	t.Helper()
	srv, err := framework.New(framework.Config{
		KCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0", TCP: "127.0.0.1:0", SealedTCP: "127.0.0.1:0", WebSocket: "127.0.0.1:0",
		Logger: slog.New(slog.DiscardHandler), Loops: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	framework.OnRequest(srv, "echo", func(_ *framework.Player, n int) (int, error) { return n, nil })
	framework.OnRequest(srv, "no", func(_ *framework.Player, n int) (int, error) { return 0, &framework.Error{Code: 1001, Text: "never"} })
	add(srv)
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
	})
	return srv, map[string]string{
		"kcp": fmt.Sprintf("kcp://%v", srv.Addr(framework.KCP)), "plain-kcp": fmt.Sprintf("plain-kcp://%v", srv.Addr(framework.PlainKCP)),
		"tcp": fmt.Sprintf("tcp://%v", srv.Addr(framework.TCP)), "stcp": fmt.Sprintf("stcp://%v", srv.Addr(framework.SealedTCP)),
		"ws": fmt.Sprintf("ws://%v", srv.Addr(framework.WebSocket)),
	}
}

func TestBotsOnEveryCarrierThroughCuts(t *testing.T) {
	srv, addrs := serve(t)
	for carrier, addr := range addrs {
		t.Run(carrier, func(t *testing.T) {
			r, err := Run(t.Context(), Config{
				Addrs: []string{addr}, ServerKey: srv.PublicKey(), Bots: 10, Cut: 150 * time.Millisecond, Client: patient,
				Limits: []string{"wrong = 0", "failed = 0", "echo errors = 0", "connected = 10", "resets = 0", "cuts > 0", "echo count > 10", "errors = 0%"},
			}, func(ctx context.Context, b *Bot) error {
				if err := b.Connect(ctx); err != nil {
					return err
				}
				b.Count("wrong", 0)
				for range 60 { // longer than it is until the first cut
					if got := 0; !b.Think(ctx, 10*time.Millisecond) {
						return errors.New("the play is over")
					} else if err := b.Request(ctx, "echo", b.N, &got); err != nil {
						return err
					} else if got != b.N {
						b.Count("wrong", 1)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Good() || r.Interrupted || r.Carriers[carrier] == 0 || len(r.Samples) == 0 || r.Sent == 0 || r.Losses < r.Resumes {
				var b bytes.Buffer
				_ = r.WriteText(&b)
				t.Errorf("%v on %v\n%s", r.Good(), r.Carriers, &b)
			}
		})
	}
}

func TestSpreadGivesEveryAddressItsShare(t *testing.T) {
	_, addrs := serve(t)
	r, err := Run(t.Context(), Config{Addrs: []string{addrs["tcp"], addrs["ws"]}, Spread: true, Bots: 8, Client: patient}, func(ctx context.Context, b *Bot) error {
		if err := b.Connect(ctx); err != nil {
			return err
		}
		return b.Together(ctx)
	})
	if err != nil || r.Carriers["tcp"] != 4 || r.Carriers["ws"] != 4 {
		t.Errorf("%v: %v", r.Carriers, err)
	}
}

// What goes wrong with bots is told, and each of them is one that failed.
func TestWhatGoesWrongIsInTheReport(t *testing.T) {
	_, addrs := serve(t)
	r, err := Run(t.Context(), Config{Addrs: []string{addrs["tcp"]}, Bots: 3, Client: patient, Limits: []string{"failed = 2", "no errors = 1", "no errors = 100%", "no p99 < 1h"}}, func(ctx context.Context, b *Bot) error {
		if err := b.Connect(ctx); err != nil {
			return err
		}
		switch b.N {
		case 1:
			return b.Request(ctx, "no", 1, nil)
		case 2:
			panic("a bot of the game's")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var page, text bytes.Buffer
	if err := errors.Join(r.WriteHTML(&page), r.WriteText(&text)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{page.String(), text.String()} {
		for _, want := range []string{"never", "panic: a bot of the game", "not measured"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
	}
	kept := []bool{}
	for _, l := range r.Limits {
		kept = append(kept, l.Kept)
	}
	if fmt.Sprint(kept) != "[true true true false]" || r.Good() || r.Failed != 2 {
		t.Errorf("limits %+v, %d failed", r.Limits, r.Failed)
	}
	if s := page.String(); strings.Contains(s, "http://") || strings.Contains(s, "https://") || strings.Contains(s, "<script") || !strings.Contains(s, "<svg") {
		t.Error("the page needs what is not in it")
	}
}

// A bot that does not heed the end of the play keeps no report from being made.
func TestTheEndDoesNotWaitForever(t *testing.T) {
	_, addrs := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Run(ctx, Config{Addrs: []string{addrs["tcp"]}, Bots: 2, Settle: time.Millisecond, Client: patient}, func(ctx context.Context, b *Bot) error {
		if err := errors.Join(b.Connect(ctx), b.Together(ctx)); err != nil {
			return err
		}
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil || !r.Interrupted || r.Connected != 2 || r.Failed != 0 || !r.Good() {
		t.Errorf("%+v: %v", r, err)
	}
}

// A request that the server has not answered when the bots must return is no success.
func TestWhatIsNotAnsweredInTimeHasFailed(t *testing.T) {
	_, addrs := serveWith(t, func(srv *framework.Server) {
		framework.OnRequest(srv, "stuck", func(p *framework.Player, _ int) (int, error) {
			<-p.Context().Done()
			return 0, nil
		})
	})
	cfg := Config{Addrs: []string{addrs["tcp"]}, Bots: 2, Duration: 300 * time.Millisecond, Settle: 300 * time.Millisecond, Client: patient, Limits: []string{"failed = 0", "errors = 0"}}
	r, err := Run(t.Context(), cfg, func(ctx context.Context, b *Bot) error {
		if err := b.Connect(ctx); err != nil {
			return err
		}
		return b.Request(ctx, "stuck", 1, nil)
	})
	if err != nil || r.Good() || r.Failed != 2 || r.Errors != 2 {
		t.Errorf("good: %v, %d failed, %d errors: %v", r.Good(), r.Failed, r.Errors, err)
	}
}

// A session of an earlier run of the app has lost no link in this one.
func TestATokenIsNoLostLink(t *testing.T) {
	_, addrs := serve(t)
	c, err := client.Dial(t.Context(), []string{addrs["tcp"]}, client.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	earlier := func(b *Bot) client.Config {
		cfg := patient(b)
		cfg.Token = c.Token()
		return cfg
	}
	r, err := Run(t.Context(), Config{Addrs: []string{addrs["tcp"]}, Bots: 1, Client: earlier, Limits: []string{"connect count = 1", "connect max < 1m"}}, func(ctx context.Context, b *Bot) error {
		return b.Connect(ctx)
	})
	if err != nil || !r.Good() || slices.ContainsFunc(r.Requests, func(q Request) bool { return q.Name == "resume" }) {
		t.Errorf("%+v: %v", r, err)
	}
}

func TestWrongConfig(t *testing.T) {
	good := Config{Addrs: []string{"tcp://127.0.0.1:1"}}
	for want, change := range map[string]func(*Config){
		"no address": func(c *Config) { c.Addrs = nil }, "negative": func(c *Config) { c.Bots = -1 }, "lacks its carrier": func(c *Config) { c.Addrs = []string{"x"} },
		"needs ServerKey": func(c *Config) { c.Addrs = []string{"kcp://127.0.0.1:1"} }, "is none like": func(c *Config) { c.Limits = []string{"fast"} },
		"no duration": func(c *Config) { c.Limits = []string{"move p99 < 5"} }, "no number": func(c *Config) { c.Limits = []string{"resets = none"} },
		"is none of p50": func(c *Config) { c.Limits = []string{"move p42 < 5ms"} }, "have a share": func(c *Config) { c.Limits = []string{"resets < 5%"} },
	} {
		c := good
		change(&c)
		if _, err := Run(t.Context(), c, asking); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one with %q", err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	r := &Report{Bots: 7, Errors: 3, Counts: map[string]uint64{"lost": 2}, Requests: []Request{{Name: "join arena", Count: 97, Errors: 3, P99: 12.5}}}
	for text, want := range map[string]bool{
		"join arena p99 < 13ms": true, "join arena p99<12ms": false, "join arena p99 >= 12.5ms": true, "join arena errors <= 3%": true, "errors < 3%": false,
		"errors = 3": true, "bots=7": true, "lost = 0": false, "lost <= 2": true, "join arena count > 97": false, "typo = 0": false, "join p99 < 1s": false,
	} {
		l, err := parseLimit(text)
		if err != nil {
			t.Error(err)
		} else if got := l.judge(r); got.Kept != want {
			t.Errorf("%+v, want %v", got, want)
		}
	}
}

// A long run keeps a bounded number of samples, and loses no count.
func TestSamplesOfALongRun(t *testing.T) {
	w := &watch{every: 1}
	for i := range 5000 {
		w.keep(Sample{At: float64(i + 1), Requests: 1, P99: float64(i % 7)})
	}
	sum := uint64(0)
	for _, s := range w.samples {
		sum += s.Requests
	}
	if len(w.samples) > maxSamples || sum != 5000 {
		t.Errorf("%d samples with %d requests", len(w.samples), sum)
	}
}

func TestMeetingWaitsForWhoIsLeft(t *testing.T) {
	var m meeting
	m.init(3)
	passes := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	first := m.arrive(1)
	if m.leave(0, 1); passes(first) { // never came
		t.Error("open with one of two")
	}
	if m.arrive(1); !passes(first) {
		t.Error("closed with both")
	}
	second := m.arrive(2)
	if passes(second) {
		t.Error("open with one of two, the second time")
	}
	if m.leave(1, 1); !passes(second) {
		t.Error("closed, though the other has ended")
	}
}

// output runs the command with few bots, and returns its status, its report and what it said.
func output(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	flags := flag.NewFlagSet("bots", flag.ContinueOnError)
	var out, told bytes.Buffer
	status = command(t.Context(), flags, args, &out, &told, Config{Client: patient}, asking)
	return status, out.String(), told.String()
}

func TestCommandFailsWithABrokenLimit(t *testing.T) {
	_, addrs := serve(t)
	file := filepath.Join(t.TempDir(), "report.html")
	common := []string{"-addr", addrs["tcp"], "-n", "4", "-duration", "100ms"}
	if status, out, told := output(t, append(common, "-limit", "echo p99 < 1h", "-limit", "wrong = 0", "-report", file)...); status != 0 || strings.Contains(out, "BROKEN") || !strings.Contains(told, "4 bots") && !strings.Contains(told, "with a link") {
		t.Errorf("status %d\n%s%s", status, out, told)
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Contains(b, []byte("every limit kept")) {
		t.Errorf("the page: %v", err)
	}
	if status, out, _ := output(t, append(common, "-limit", "echo p99 < 1ns")...); status != 1 || !strings.Contains(out, "BROKEN  echo p99 < 1ns") {
		t.Errorf("status %d\n%s", status, out)
	}
	if status, _, told := output(t, append(common, "-limit", "nonsense")...); status != 2 || !strings.Contains(told, "nonsense") {
		t.Errorf("status %d\n%s", status, told)
	}
	if status, _, _ := output(t, "-bogus"); status != 2 {
		t.Errorf("status %d for a flag that there is not", status)
	}
	if status, _, told := output(t, append(common, "-json", "true", "-limit", "echo p99 < 1ns")...); status != 2 || !strings.Contains(told, `"true" is no flag`) {
		t.Errorf("status %d where the flags after a word would not be read\n%s", status, told)
	}
}

func TestAPageThatCannotBeWrittenCostsNoReport(t *testing.T) {
	_, addrs := serve(t)
	status, out, told := output(t, "-addr", addrs["tcp"], "-n", "2", "-duration", "50ms", "-report", filepath.Join(t.TempDir(), "none", "report.html"))
	if status != 2 || !strings.Contains(out, "2 of 2 bots got in") || !strings.Contains(told, "report.html") {
		t.Errorf("status %d\n%s%s", status, out, told)
	}
}

// An interrupt ends the play of a process, and the report is there.
func TestInterruptEndsWithAReport(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process can't interrupt another one there")
	}
	srv, addrs := serve(t)
	for limit, want := range map[string]int{"failed = 0": 0, "echo p99 < 1ns": 1} {
		cmd := exec.Command(os.Args[0], "-addr", addrs["tcp"], "-n", "5", "-limit", limit, "-json")
		cmd.Env = append(os.Environ(), "SWARM_COMMAND=1")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); len(srv.Inspect(100, func(in *framework.Info) bool { return in.LinkIn > 300 })) < 5 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		_ = cmd.Process.Signal(os.Interrupt)
		printed, _ := io.ReadAll(out)
		_ = cmd.Wait()
		var r Report
		if err := json.Unmarshal(printed, &r); err != nil || !r.Interrupted || r.Connected != 5 || r.Failed != 0 || cmd.ProcessState.ExitCode() != want {
			t.Errorf("%q: %v, status %d\n%s", limit, err, cmd.ProcessState.ExitCode(), printed)
		}
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	say := progress(&b)
	for i := range 12 {
		say(Sample{At: float64(i + 1), Playing: 3, last: i == 11})
	}
	if n := strings.Count(b.String(), "\n"); n != 3 || strings.ContainsRune(b.String(), '\r') {
		t.Errorf("%d lines where they can't be overwritten:\n%s", n, &b)
	}
}
