// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// TestMain is the server's process too: this very program is started as one.
func TestMain(m *testing.M) {
	if os.Getenv(server.Child) == "" {
		os.Exit(m.Run())
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestEcho asserts that everything is there and nothing goes wrong. How fast
// it is depends on who else uses the machine.
func TestEcho(t *testing.T) {
	for _, c := range []struct{ carrier, versus string }{
		{"plain-kcp", "kcp-go"}, {"plain-kcp", "udp"}, {"plain-kcp", "go-tcp"}, {"tcp", "go-tcp"}, {"kcp", "plain-kcp"}, {"ws", ""}, {"stcp", ""},
	} {
		t.Run(c.carrier+"/"+c.versus, func(t *testing.T) {
			args := []string{"echo", "-carrier", c.carrier, "-versus", c.versus, "-sessions", "20", "-duration", "400ms",
				"-warmup", "100ms", "-runs", "1", "-client-core", "-1", "-server-core", "-1", "-window", "2"}
			names := []string{"lifeline", c.versus}
			switch c.versus {
			case "":
				names = names[:1]
			case "plain-kcp":
				names[1] = "lifeline plain-kcp"
			}
			again(t, func() error {
				both := map[string]report{}
				if c.versus == "" {
					var alone report
					measure(t, &alone, args...)
					both["lifeline"] = alone
				} else {
					measure(t, &both, args...)
				}
				for _, name := range names {
					r := both[name]
					fine(t, name, r.Errors)
					if r.Messages == 0 || r.MessagesPerSecond == 0 || r.P99 == 0 || r.ServerCPUPerMsg == 0 {
						return fmt.Errorf("%s: figures are missing: %+v", name, r.figures)
					}
				}
				return nil
			})
		})
	}
}

func TestIdle(t *testing.T) {
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			args := []string{"idle", "-carrier", carrier, "-sessions", "20", "-duration", "600ms", "-settle", "100ms", "-interval", "300ms", "-timeout", "20s"}
			if strings.HasSuffix(carrier, "kcp") {
				args = append(args, "-sockets", "3")
			}
			again(t, func() error {
				var r report
				measure(t, &r, args...)
				if fine(t, carrier, r.Errors); r.HeartbeatsPerSec == 0 || r.RSS == 0 || r.Errors.Timeout != 0 {
					return fmt.Errorf("figures are missing, or late: %+v, %+v", r.figures, r.Errors)
				}
				return nil
			})
		})
	}
}

// TestStorm asserts that everything arrives once.
func TestStorm(t *testing.T) {
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			args := []string{"storm", "-carrier", carrier, "-sessions", "100", "-rate", "1000", "-pushes", "1000", "-warmup", "300ms"}
			if strings.HasSuffix(carrier, "kcp") {
				args = append(args, "-sockets", "7")
			}
			again(t, func() error {
				var r report
				measure(t, &r, args...)
				if fine(t, "lifeline", r.Errors); r.MessagesLost != 0 || r.MessagesTwice != 0 || r.StreamsReset != 0 {
					t.Errorf("lost %v, twice %v, reset %v", r.MessagesLost, r.MessagesTwice, r.StreamsReset)
				}
				if r.ResumesPerSec == 0 || r.NumberedUp == 0 || r.NumberedDown == 0 {
					return fmt.Errorf("figures are missing: %+v", r.figures)
				}
				return nil
			})
		})
	}
}

func TestConnect(t *testing.T) {
	for _, carrier := range carriers {
		again(t, func() error {
			var r report
			measure(t, &r, "connect", "-carrier", carrier, "-sessions", "50", "-runs", "1", "-client-core", "-1", "-server-core", "-1")
			if fine(t, carrier, r.Errors); r.LinksPerSec == 0 || r.CPUPerLink == 0 || r.Errors.Timeout != 0 {
				return fmt.Errorf("%s: figures are missing, or late: %+v, %+v", carrier, r.figures, r.Errors)
			}
			return nil
		})
	}
}

// TestAnOpeningIsRepeated: a server stands still for longer than an attempt to open lasts.
// All sessions open even so.
func TestAnOpeningIsRepeated(t *testing.T) {
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			srv, err := server.Start(server.Options{Kind: "lifeline", Carrier: carrier, Core: -1, Links: 10})
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Stop()
			cfg := load.Config{Server: srv.First().Addr, Key: srv.First().Key, Carrier: carrier, Sessions: 5, Size: 64, Window: 1, Opening: 2}
			f, err := load.New(cfg, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := srv.Pause(); err != nil {
				t.Fatal(err)
			}
			for begun := time.Now(); f.Repeated() == 0; {
				if err := f.Open(100 * time.Millisecond); err == nil || time.Since(begun) > time.Minute {
					t.Fatalf("with a server that stands still: %v", err)
				}
			}
			if err := srv.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if err := f.Open(time.Minute); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestBroadcast(t *testing.T) {
	again(t, func() error {
		var r struct {
			Broadcast, Echo report
			Even            report `json:"echo_at_its_rate"`
			Ratio           spread `json:"cpu_per_delivery_over_echo"`
		}
		measure(t, &r, "broadcast", "-members", "20", "-rate", "50", "-runs", "1", "-duration", "500ms", "-warmup", "200ms",
			"-client-core", "-1", "-server-core", "-1")
		b := r.Broadcast
		fine(t, "broadcast", b.Errors)
		if b.Deliveries == 0 || b.DeliveryP99 == 0 || b.CPUPerDelivery == 0 || r.Echo.Messages == 0 || r.Even.Messages == 0 || r.Ratio.Median == 0 {
			return fmt.Errorf("figures are missing: %+v", r)
		}
		return nil
	})
}

// TestMixed asserts that nothing is lost or comes twice while links break.
func TestMixed(t *testing.T) {
	again(t, func() error {
		var r report
		measure(t, &r, "mixed", "-sessions", "20", "-cuts", "50", "-runs", "1", "-duration", "900ms", "-warmup", "300ms",
			"-client-core", "-1", "-server-core", "-1")
		fine(t, "mixed", r.Errors)
		if r.Messages == 0 || r.Deliveries == 0 || r.Cuts == 0 {
			return fmt.Errorf("figures are missing: %+v", r.figures)
		}
		return nil
	})
}

// TestDetect asserts that nobody is taken for dead too early, or while alive.
func TestDetect(t *testing.T) {
	again(t, func() error {
		var all []report
		measure(t, &all, "detect", "-sessions", "20", "-interval", "500ms", "-timeout", "2500ms", "-lossy", "1s", "-loss", "0.1")
		if len(all) != 3 {
			return fmt.Errorf("%d reports", len(all))
		}
		for _, r := range all[:2] {
			if r.Detected != 20 || r.DetectFirst < r.PromisedFirst {
				return fmt.Errorf("%s: %v found, the first after %v ms, promised after %v", r.Server, r.Detected, r.DetectFirst, r.PromisedFirst)
			}
		}
		if all[2].FalsePositives != 0 || all[2].Errors.Sum() != 0 {
			return fmt.Errorf("%v of the living were taken for dead: %+v", all[2].FalsePositives, all[2].Errors)
		}
		return nil
	})
}

// fine asserts that nothing went wrong. That an answer came late is the machine's business:
// a test that allows none of them measures again.
func fine(t *testing.T, name string, errors load.Counts) {
	t.Helper()
	if errors.Timeout = 0; errors.Sum() != 0 {
		t.Errorf("%s: %+v", name, errors)
	}
}

// again measures up to four times. When the machine stands still a figure may be
// off or missing; what is wrong is wrong each time.
func again(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for range 4 {
		if err = f(); err == nil {
			return
		}
		t.Log(err)
	}
	t.Error(err)
}

// TestLoss runs as a process of its own: it wants a network of its own.
func TestLoss(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again(t, func() error {
		cmd := exec.Command(path, "loss", "-json", "-runs", "1", "-sessions", "3", "-loss", "0,10", "-duration", "500ms", "-warmup", "200ms", "-bulk", "300ms",
			"-delay", "5ms", "-servers", "lifeline/plain-kcp,go-tcp")
		cmd.Env = append(os.Environ(), server.Child+"=1")
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
				t.Skip("this system lets us make no device")
			} else {
				_ = f.Close()
			}
			t.Fatal(err)
		}
		var all []report
		if err := json.Unmarshal(out, &all); err != nil {
			t.Fatal(err)
		}
		if len(all) != 4 {
			t.Fatalf("%d reports", len(all))
		}
		for _, r := range all {
			if r.Messages == 0 || r.P50 < 10_000 || r.Bulk == 0 || len(r.Curve) == 0 {
				return fmt.Errorf("%s at %v %%: figures are missing, or no delay: %+v", r.Server, r.Loss, r.figures)
			}
		}
		return nil
	})
}

func TestOverload(t *testing.T) {
	again(t, func() error {
		var r report
		measure(t, &r, "overload", "-sessions", "20", "-duration", "400ms", "-warmup", "100ms", "-runs", "1", "-client-core", "-1", "-server-core", "-1")
		if r.Peak == 0 || r.Goodput == 0 || r.Recovered == 0 {
			return fmt.Errorf("figures are missing: %+v", r.figures)
		}
		return nil
	})
}

// TestClusterCosts asserts that both servers of a pair are measured.
func TestClusterCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	again(t, func() error {
		var echo, login map[string]report
		measure(t, &echo, "cluster local", "-bus", "memory", "-sessions", "20", "-duration", "300ms", "-warmup", "100ms", "-runs", "1", "-client-core", "-1", "-server-core", "-1")
		measure(t, &login, "cluster login", "-bus", "nats", "-sessions", "50", "-runs", "1", "-client-core", "-1", "-server-core", "-1")
		for _, name := range []string{"cluster", "alone"} {
			r := echo[name]
			r.Errors.Full = 0 // that is the machine's business, too
			fine(t, "local, "+name, r.Errors)
			fine(t, "login, "+name, login[name].Errors)
			if r.Messages == 0 || r.ServerCPUPerMsg == 0 {
				return fmt.Errorf("local, %s: figures are missing: %+v", name, r.figures)
			}
			if r := login[name]; r.CPUPerLink == 0 || r.LoginP50 == 0 || r.Errors.Timeout != 0 {
				return fmt.Errorf("login, %s: figures are missing, or late: %+v, %+v", name, r.figures, r.Errors)
			}
		}
		return nil
	})
}

// TestClusterPush asserts that every message to a user of another server arrives once, and
// that the cost of each process is measured.
func TestClusterPush(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	again(t, func() error {
		var all map[string]json.RawMessage
		measure(t, &all, "cluster push", "-sessions", "10", "-rate", "300", "-duration", "300ms", "-warmup", "100ms", "-runs", "1")
		for _, name := range []string{"at_rate_other_server", "at_rate_same_server", "saturated_other_server", "saturated_same_server"} {
			var r report
			if err := json.Unmarshal(all[name], &r); err != nil {
				t.Fatal(name, err)
			}
			if fine(t, name, r.Errors); r.MessagesLost != 0 {
				t.Errorf("%s: lost %v", name, r.MessagesLost)
			}
			if r.Messages == 0 || r.P99 == 0 || r.ServerCPUPerMsg == 0 || r.Errors.Timeout != 0 {
				return fmt.Errorf("%s: figures are missing, or late: %+v, %+v", name, r.figures, r.Errors)
			}
		}
		if all["at_rate_more"] == nil || all["saturated_more"] == nil {
			return errors.New("nothing is compared")
		}
		return nil
	})
}

// TestClusterMove asserts that players get into rooms of other servers, and that nothing of
// their traffic is lost or comes twice meanwhile.
func TestClusterMove(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	again(t, func() error {
		var r moved
		measure(t, &r, "cluster move", "-sessions", "12", "-warmup", "100ms", "-settle", "200ms", "-moves", "20", "-moving", "700ms")
		if fine(t, "move", r.Errors); r.Lost+r.Twice != 0 || r.Resets+r.Logins+r.Refused != 0 {
			t.Errorf("%+v", r)
		}
		if r.Joins < 5 || r.Join50 == 0 || r.Here50 == 0 || r.Returned < r.Joins || r.Up == 0 || r.Down == 0 {
			return fmt.Errorf("figures are missing: %+v", r)
		}
		return nil
	})
}

// TestClusterRooms asserts that rooms go on where they were after each server was restarted,
// and that every member is in its room again, and was in no other.
func TestClusterRooms(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	again(t, func() error {
		var r roomed
		measure(t, &r, "cluster rooms", "-sessions", "18", "-rooms", "6", "-beats", "10", "-each", "5", "-warmup", "100ms", "-settle", "200ms", "-drain", "200ms")
		if fine(t, "rooms", r.Errors); r.Lost+r.Twice+r.Anew+r.Differs != 0 || r.Resets+r.Logins+r.SetBack+r.Astray+r.Outside != 0 {
			t.Errorf("%+v", r)
		}
		if r.Moved == 0 || r.Told == 0 || r.Returned == 0 || r.Up == 0 || r.Down == 0 {
			return fmt.Errorf("figures are missing: %+v", r)
		}
		return nil
	})
}

// TestClusterFan asserts that every player gets every broadcast, of one server and of three.
func TestClusterFan(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	again(t, func() error {
		var all struct {
			Three report `json:"three_servers"`
			One   report `json:"one_server"`
			Ratio spread `json:"cpu_per_delivery_three_over_one"`
		}
		measure(t, &all, "cluster fan", "-members", "30", "-rate", "50", "-runs", "1", "-duration", "300ms", "-warmup", "200ms", "-client-core", "-1", "-server-core", "-1")
		for _, r := range []report{all.Three, all.One} {
			if fine(t, r.Server, r.Errors); r.MessagesLost != 0 {
				t.Errorf("%s: lost %v", r.Server, r.MessagesLost)
			}
			if r.Deliveries == 0 || r.CPUPerDelivery == 0 || all.Ratio.Median == 0 || r.Errors.Timeout != 0 {
				return fmt.Errorf("%s: figures are missing, or late: %+v, %+v", r.Server, r.figures, r.Errors)
			}
		}
		return nil
	})
}

// TestClusterDirectory asserts that all that is looked up is found, in each store.
func TestClusterDirectory(t *testing.T) {
	for store, lookups := range map[string]int{"tree": 4, "memory": 5, "file": 5} {
		var r struct{ Rows []holding }
		measure(t, &r, "cluster directory", "-store", store, "-entries", "1000,1500", "-lookups", "60")
		if len(r.Rows) != 2 {
			t.Fatalf("%s: %d rows", store, len(r.Rows))
		}
		for _, h := range r.Rows {
			if h.Fill == 0 || h.Heap == 0 || len(h.Lookups) != lookups || (h.Disk > 0) != (store == "file") {
				t.Errorf("figures are missing: %+v", h)
			}
			for _, l := range h.Lookups {
				if l.Times == 0 || l.P50 == 0 {
					t.Errorf("%s, %s: figures are missing: %+v", store, l.What, l)
				}
			}
		}
	}
}

// TestClusterNode asserts that servers of all shapes are measured, without and with players.
func TestClusterNode(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	var r standings
	measure(t, &r, "cluster node", "-sessions", "20", "-duration", "300ms", "-settle", "100ms", "-carrier", "stcp")
	if len(r.Nodes) != 2*(1+1+3) {
		t.Fatalf("%d servers", len(r.Nodes))
	}
	for _, n := range r.Nodes {
		if n.RSS == 0 || n.RSSGC == 0 || n.Heap == 0 || n.Goroutines == 0 {
			t.Errorf("figures are missing: %+v", n)
		}
	}
}

// TestClusterLosesNothing plays the courses in which no server is killed: nothing is lost,
// nothing comes twice, and no player has to log in again.
func TestClusterLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"restart", []string{"-settle", "300ms", "-drain", "300ms", "-carrier", "tcp"}},
		{"restart", []string{"-settle", "300ms", "-drain", "300ms", "-carrier", "kcp"}},
		{"pause", []string{"-settle", "300ms", "-stop", "1s", "-carrier", "stcp"}},
		{"resume", []string{"-settle", "1s", "-cuts", "100", "-carrier", "plain-kcp"}},
	} {
		t.Run(c.name+"/"+c.args[len(c.args)-1], func(t *testing.T) {
			again(t, func() error {
				var r outage
				measure(t, &r, append([]string{"cluster " + c.name, "-sessions", "60", "-warmup", "300ms"}, c.args...)...)
				if fine(t, c.name, r.Errors); r.Lost+r.Twice != 0 || r.Resets+r.Logins != 0 {
					t.Errorf("%+v", r)
				}
				if r.Up == 0 || r.Down == 0 || r.Silence99 == 0 || r.Before99 == 0 || c.name != "pause" && (r.Returned == 0 || r.Away99 == 0) {
					return fmt.Errorf("figures are missing: %+v", r)
				}
				return nil
			})
		})
	}
}

// TestPage asserts that a report has what its steps have measured, and nothing
// of it is taken for markup.
func TestPage(t *testing.T) {
	r := report{Server: "lifeline", Carrier: "tcp", Sessions: 7, Curve: []chart.Point{{Share: 0.5, Us: 1000}, {Share: 0.99, Us: 9000}}}
	r.add(figures{MessagesPerSecond: 12345, P50: 1000}, load.Counts{Lost: 3})
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.html")
	steps := []step{{Name: "echo", Command: "echo <b>", Result: raw}, {Name: "storm", Command: "storm", Error: "</script>"}}
	steps = append(steps, stepOf(t, "outage", outage{Course: "kill", Carrier: "stcp", Lost: 4711}), stepOf(t, "node", standings{Nodes: []standing{{Shape: "one of three", Goroutines: 815}}}))
	if err := writePage(file, steps, time.Now()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"lifeline tcp", "12345", "<svg", "echo &lt;b&gt;", `"sessions": 7`, `<td>3</td>`, "<td>4711</td>", "<td>one of three, 0</td>", "<td>815</td>"} {
		if !bytes.Contains(b, []byte(want)) && !bytes.Contains(b, []byte(strings.ReplaceAll(want, ": ", ":"))) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := bytes.Count(b, []byte("</script>")); n != 2 {
		t.Errorf("%d ends of scripts, want 2", n)
	}
	again, err := readPage(file)
	if err != nil || len(again) != 4 || again["storm"].Error != "</script>" || !bytes.Contains(again["echo <b>"].Result, []byte("12345")) {
		t.Errorf("the page reads as %+v, %v", again, err)
	}
}

// TestCurve asserts that each server has its figures at each rate, that the players
// know their own part, and that the page draws it. ENet is C, and may be left out.
func TestCurve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curve.html")
	servers := []string{"lifeline/plain-kcp", "lifeline/tcp", "udp", "enet"}
	again(t, func() error {
		var all []report
		measure(t, &all, "curve", "-rates", "0.5,0", "-servers", strings.Join(servers, ","), "-sessions", "20", "-duration", "600ms", "-warmup", "100ms",
			"-runs", "1", "-report", file, "-client-core", "-1", "-server-core", "-1")
		if len(all) == 6 {
			servers = servers[:3]
		}
		if len(all) != 2*len(servers) {
			t.Fatalf("%d reports of %d servers at 2 rates", len(all), len(servers))
		}
		for i, r := range all {
			if want := []float64{500, 0}[i/len(servers)]; r.Server != servers[i%len(servers)] || r.Rate != want {
				t.Errorf("report %d is of %s at %v", i, r.Server, r.Rate)
			}
			r.Errors.Full = 0                                                 // that is the machine's business, too
			if fine(t, r.Server, r.Errors); r.Rate > 0 && r.Messages > 4500 { // of 300: it asks as fast as it can
				t.Errorf("%s, %s: %v answers", r.Server, r.asked(), r.Messages)
			}
			if r.Messages == 0 || r.ServerCPUPerMsg == 0 || r.P50 == 0 || r.P999 < r.P50 || r.Rate > 0 && r.WriteLateP99 == 0 || (r.Over == nil) != (i%len(servers) == 0) {
				return fmt.Errorf("%s, %s: figures are missing: %+v", r.Server, r.asked(), r.figures)
			}
		}
		return nil
	})
	page, err := os.ReadFile(file)
	if err != nil || bytes.Count(page, []byte("<svg")) < 5 || !bytes.Contains(page, []byte("-rates 0.5,0")) {
		t.Errorf("%v; the page has %d plots", err, bytes.Count(page, []byte("<svg")))
	}
}

// TestIdleBesideOthers asserts that both have as much to do.
func TestIdleBesideOthers(t *testing.T) {
	again(t, func() error {
		var all []report
		measure(t, &all, "idle", "-versus", "go-tcp", "-beats", "50", "-interval", "300ms", "-timeout", "20s", "-duration", "900ms", "-settle", "300ms")
		if len(all) != 2 || all[1].Server != "go-tcp" || all[1].Over == nil {
			t.Fatalf("%+v", all)
		}
		for _, r := range all {
			fine(t, r.Server, r.Errors)
			if r.Sessions != 15 || r.IdleCPU == 0 || r.HeartbeatsPerSec == 0 || r.HeartbeatsPerSec > 500 || all[1].Over.IdleCPU.Median == 0 {
				return fmt.Errorf("%s: %d players, %v heartbeats a second: figures are missing: %+v", r.Server, r.Sessions, r.HeartbeatsPerSec, r.figures)
			}
		}
		return nil
	})
}

// stepOf is a step that has printed result.
func stepOf(t *testing.T, name string, result any) step {
	t.Helper()
	raw, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return step{Name: name, Command: name, Result: raw}
}

// TestOpenLoop asserts that requests come at their rate.
func TestOpenLoop(t *testing.T) {
	again(t, func() error {
		var r report
		measure(t, &r, "echo", "-sessions", "20", "-rate", "500", "-duration", "600ms", "-warmup", "100ms", "-runs", "1",
			"-client-core", "-1", "-server-core", "-1")
		if r.Messages < 150 || r.Messages > 600 {
			return fmt.Errorf("%v of 300 requests", r.Messages)
		}
		return nil
	})
}

// measure runs a command and reads its JSON.
func measure(t *testing.T, into any, args ...string) {
	t.Helper()
	o, err := parse(args[0], append(args[1:], "-json"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o.out, o.log = &out, t.Output()
	if err := o.command.run(o); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
}

func TestWhatCanNotWorkIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-carrier", "carrier-pigeon"}, {"-sessions", "0"}, {"-size", "1"}, {"-carrier", "tcp", "-versus", "kcp-go"},
		{"-carrier", "tcp", "-sockets", "10"}, {"-sessions", "10000000"}, {"everything"}, {"-runs", "0"},
	} {
		o, err := parse("echo", args)
		if err != nil {
			continue
		}
		o.out, o.log = t.Output(), t.Output()
		if err = echo(o); err == nil {
			t.Errorf("echo %v was not refused", args)
		}
	}
}
