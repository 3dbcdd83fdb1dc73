// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/examples/room/swarm"
	"github.com/lifeline-go/lifeline/framework"
	bots "github.com/lifeline-go/lifeline/framework/client/swarm"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// TestMain makes the command of this program where LIFELINE_ROOM is set.
func TestMain(m *testing.M) {
	if os.Getenv("LIFELINE_ROOM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is the command, as a process of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	key   string // of its clients
	ended chan struct{}

	mu  sync.Mutex
	log strings.Builder // guarded by mu
}

// run starts the command, and waits until players can come.
func run(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: command(args...), ended: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	ready := make(chan struct{})
	go func() { // ends with the process
		defer close(p.ended)
		p.read(out, ready)
		_ = p.cmd.Wait()
	}()
	select {
	case <-ready:
	case <-p.ended:
		t.Fatalf("%v: %v\n%s", args, p.cmd.ProcessState, p.said())
	case <-time.After(time.Minute):
		t.Fatalf("%v: not ready\n%s", args, p.said())
	}
	return p
}

// read takes what the process prints. The last line of its start is that of the bots.
func (p *process) read(out io.Reader, ready chan<- struct{}) {
	for in := bufio.NewScanner(out); in.Scan(); {
		p.mu.Lock()
		p.log.WriteString(in.Text() + "\n")
		p.mu.Unlock()
		switch first, rest, _ := strings.Cut(in.Text(), " "); first {
		case "key":
			p.key = strings.TrimSpace(rest)
		case "bots":
			close(ready)
		}
	}
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop is ^C. It returns once the process has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
	}
	if s := p.cmd.ProcessState; s == nil || !s.Success() {
		p.t.Errorf("%v ended with %v\n%s", p.cmd.Args[1:], s, p.said())
	}
}

// address returns one of this machine that is free for UDP and TCP, and that no connection
// gets by itself. Other packages draw other ones.
func address(t *testing.T) string {
	t.Helper()
	for range 100 {
		at := fmt.Sprint("127.0.0.1:", 25000+rand.IntN(3000))
		stream, err := net.Listen("tcp", at)
		if err != nil {
			continue
		}
		_ = stream.Close()
		datagrams, err := net.ListenPacket("udp", at)
		if err == nil {
			_ = datagrams.Close()
			return at
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestTwoServers plays what the README says: two commands, players at both. The second one is
// stopped, and its players go on at the first: nothing is lost, nothing comes twice, and
// nobody logs in again.
func TestTwoServers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes can't be interrupted")
	}
	dir, directory := t.TempDir(), address(t)
	command := func(number string) (p *process, kcp, tcp string) {
		kcp, tcp = address(t), address(t)
		p = run(t, "-cluster", number, "-dir", dir, "-directory", directory, "-bots", "0",
			"-kcp", kcp, "-tcp", tcp, "-stcp=", "-plain-kcp=", "-ws=", "-http", "127.0.0.1:0")
		return p, "kcp://" + kcp, "tcp://" + tcp
	}
	one, kcp1, tcp1 := command("1")
	two, kcp2, tcp2 := command("2")
	if one.key != two.key || one.key == "" {
		t.Errorf("clients know the servers by %q and %q", one.key, two.key)
	}
	const players = 16
	game := &swarm.Game{Room: "lobby", Rate: 5, Own: true}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var once sync.Once
	report, err := bots.Run(ctx, bots.Config{
		Addrs: []string{kcp1, tcp1, kcp2, tcp2}, Spread: true, ServerKey: one.key, Bots: players, Name: "bot", Client: game.Client,
		Limits: append([]string{fmt.Sprint("sessions = ", players), fmt.Sprint("resumes >= ", players/2), "resets = 0", "undelivered = 0"}, swarm.Limits...),
		Progress: func(s bots.Sample) {
			if s.Connected == players {
				once.Do(func() {
					go func() { // ends with the second server
						two.stop()
						time.Sleep(300 * time.Millisecond) // they play on
						cancel()
					}()
				})
			}
		},
	}, game.Play)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Good() {
		var text strings.Builder
		_ = report.WriteText(&text)
		t.Errorf("%s\n%s\n%s", text.String(), one.said(), two.said())
	}
	one.stop()
}

// TestArenaGoesAlong: a player that goes to another server is in the arena of the same key
// there, before anything else that it has sent is handled.
func TestArenaGoesAlong(t *testing.T) {
	gametest.Options{Store: new(framework.MemoryStore)}.Run(t, newServer, func(g *gametest.Game) {
		other := g.AddNode()
		ann := g.Player("ann")
		ann.Join("arena", "lobby")
		for n := range uint64(20) {
			ann.Send("chat", swarm.Chat{N: n + 1, Text: "hello"})
			if n == 10 {
				if err := g.Server.User("ann")[0].Move(other.Address()); err != nil {
					g.T.Fatal(err)
				}
			}
			g.Sleep(time.Millisecond)
		}
		for n := range uint64(20) {
			gametest.Expect(ann, "chat", swarm.Chat{N: n + 1, Text: "hello", From: "ann"})
		}
		if in := ann.In("arena"); in != "lobby" {
			g.T.Errorf("ann is in arena %q", in)
		}
		if v := gametest.Request[swarm.View](ann, "look", nil); len(v.Players) != 1 || v.Players[0].Server != 1 {
			g.T.Errorf("%+v", v)
		}
		if here, there := g.Server.Stats().Sessions, other.Server.Stats().Sessions; here != 0 || there != 1 {
			g.T.Errorf("%d sessions here, %d there", here, there)
		}
	})
}

// TestArenaIsHandedOver: a player presses "go to the other". The arena goes on there, with all
// who are in it, where they were, and nothing of their chat is lost.
func TestArenaIsHandedOver(t *testing.T) {
	gametest.Options{Servers: 2}.Run(t, newServer, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		for _, p := range []*gametest.Player{ann, bob} {
			p.Join("arena", "lobby")
		}
		ann.Send("move", swarm.Move{X: 10, Y: 20})
		first := gametest.Request[swarm.View](ann, "look", nil)
		const times = 3
		for n := range uint64(times) {
			ann.Send("chat", swarm.Chat{N: n + 1, Text: "hello"})
			if !gametest.Request[swarm.View](ann, "look", nil).Other {
				g.T.Error("there is no other server")
			}
			gametest.Request[struct{}](bob, "pass", nil)
			gametest.Expect(bob, "chat", swarm.Chat{N: n + 1, Text: "hello", From: "ann"})
			g.Sleep(time.Second)
		}
		v := gametest.Request[swarm.View](ann, "look", nil)
		if v.ID != first.ID || v.Said != times || len(v.Players) != 2 || v.Server == 0 {
			g.T.Errorf("%+v", v)
		}
		gametest.Until(bob, "state", func(s swarm.State) bool {
			return slices.ContainsFunc(s.Players, func(p swarm.Spot) bool { return p.ID == v.ID && p.X == 10 && p.Y == 20 && !p.Dropped })
		})
		if st := ann.Client.Stats(); st.Opens != 1 || st.Resets != 0 || st.Resumes != times {
			g.T.Errorf("%+v", st)
		}
	})
}
