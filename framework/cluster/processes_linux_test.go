// SPDX-License-Identifier: MIT

package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/cluster/nats"
	"github.com/lifeline-go/lifeline/session"
)

// Servers that are real processes: this very test binary, started again. They write down
// what they handle, the clients what they send and are told, and both are compared.

var allProcesses = flag.Bool("cluster.processes", false, "kill, stop and cut off servers that are real processes: takes minutes")

const childEnv = "LIFELINE_CLUSTER_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// role is what a process is told to be: a server, or without TCP the directory.
type role struct {
	NATS string // the address of the directory
	Dir  string // where that keeps it
	TCP  string // where players dial
	Node uint16
	Log  string // the file that takes what is handled
	Cert string // the file with what both show each other, off the loopback
}

func child(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	cfg := nats.Config{Join: []string{r.NATS}}
	if r.TCP == "" {
		cfg = nats.Config{Listen: r.NATS, Dir: r.Dir}
	}
	if r.Cert != "" {
		var err error
		if cfg.TLS, err = loadCert(r.Cert); err != nil {
			return err
		}
		cfg.Password = "secret"
	}
	bus, err := nats.Start(cfg)
	if err != nil {
		return err
	}
	defer bus.Close()
	if r.TCP == "" {
		fmt.Println("ready")
		_, err := io.Copy(io.Discard, os.Stdin) // until the parent closes it, or has ended
		return err
	}
	return serveChild(&r, bus)
}

// serveChild serves until it is told to drain, or declared dead, or its parent is gone.
func serveChild(r *role, bus cluster.Bus) error {
	file, err := os.OpenFile(r.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	note := func(what, user string, n uint64) { // one write, which a kill leaves whole
		_, _ = fmt.Fprintf(file, "%d %s %s %d\n", time.Now().UnixNano(), what, user, n)
	}
	c, err := cluster.New(cluster.Config{Bus: bus, Node: r.Node})
	if err != nil {
		return err
	}
	srv, err := framework.New(framework.Config{
		TCP: r.TCP, Address: "tcp://" + r.TCP, Cluster: c, Secret: session.Secret{1}, Drain: framework.Drain{Window: time.Second},
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			note("login", string(l.Ticket), 0)
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		return err
	}
	framework.OnMessage(srv, "say", func(p *framework.Player, n uint64) {
		note("say", p.User(), n)
		_ = p.Push("echo", n)
	})
	rooms := framework.AddRoom(srv, "tally", func(r *framework.Room) *tally {
		return &tally{Room: r, note: note, Sums: map[string]uint64{}}
	})
	framework.OnRoomMessage(rooms, "add", (*tally).add)
	framework.OnRoomRequest(rooms, "look", (*tally).look)
	if err := srv.Start(); err != nil {
		return err
	}
	fmt.Println("ready")
	told := make(chan bool, 1)
	go func() { // ends with the input, or the process
		told <- bufio.NewScanner(os.Stdin).Scan()
	}()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case drain := <-told:
			if !drain {
				return errors.New("the parent is gone")
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			return srv.Shutdown(ctx)
		case <-look.C:
			if srv.Stats().Cluster.Declared != 0 {
				return errors.New("declared dead") // as /livez says
			}
		}
	}
}

// tally is a room that is handed over with what its members have sent.
type tally struct {
	*framework.Room
	note  func(what, user string, n uint64)
	Sums  map[string]uint64 // by user: the last number
	Wrong int               // numbers that did not follow the one before
}

func (r *tally) OnSave() ([]byte, error)      { return json.Marshal(r) }
func (r *tally) OnRestore(state []byte) error { return json.Unmarshal(state, r) }

func (r *tally) add(p *framework.Player, n uint64) {
	r.note("add", r.Key()+"/"+p.User()+fmt.Sprintf("/%d", n), r.Generation())
	if n != r.Sums[p.User()]+1 {
		r.Wrong++
	}
	r.Sums[p.User()] = n
}

func (r *tally) look(p *framework.Player, _ int) ([2]uint64, error) {
	return [2]uint64{r.Sums[p.User()], uint64(r.Wrong)}, nil
}

// process is a child as its parent sees it.
type process struct {
	role  role
	space string // the network namespace that it is in, empty: the test's own
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan error // what Wait said
}

// troupe is some servers that are processes, and their players.
type troupe struct {
	t         *testing.T
	folder    string
	directory *process
	servers   []*process
	players   []*player
	over      chan struct{} // the players fall silent
	talking   sync.WaitGroup
}

// start starts a process, and returns when it is ready.
func (tr *troupe) start(r role, space string) *process {
	tr.t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		tr.t.Fatal(err)
	}
	p := &process{role: r, space: space, cmd: exec.Command(os.Args[0]), ended: make(chan error, 1)}
	if space != "" {
		p.cmd = exec.Command("ip", "netns", "exec", space, os.Args[0])
	}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), childEnv+"="+string(text)), tr.t.Output()
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		tr.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		tr.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { // ends with the process
		p.ended <- p.cmd.Wait()
		close(p.ended)
	}()
	if err != nil || line != "ready\n" {
		tr.t.Fatalf("a process says %q, %v", line, err)
	}
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the end of a process.
func (p *process) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Minute):
		t.Fatal("a process does not end")
		return nil
	}
}

// newTroupe starts a directory and n servers on the loopback, and lets players talk.
func newTroupe(t *testing.T, n, players int) *troupe {
	tr := &troupe{t: t, folder: t.TempDir(), over: make(chan struct{})}
	at := loopbackPort(t)
	tr.directory = tr.start(role{NATS: at, Dir: filepath.Join(tr.folder, "directory")}, "")
	for i := range n {
		tr.servers = append(tr.servers, tr.start(tr.server(i, at, loopbackPort(t)), ""))
	}
	tr.talk(players)
	return tr
}

func (tr *troupe) server(i int, directory, tcp string) role {
	return role{NATS: directory, TCP: tcp, Node: uint16(i + 1), Log: filepath.Join(tr.folder, fmt.Sprint("log", i))}
}

// loopbackPort returns an address that is free, and that no connection gets by itself.
// Other packages draw other ones.
func loopbackPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		at := fmt.Sprint("127.0.0.1:", 18000+rand.IntN(2000))
		if ln, err := net.Listen("tcp", at); err == nil {
			_ = ln.Close()
			return at
		}
	}
	t.Fatal("no port is free")
	return ""
}

// player is a client that sends numbers and is sent them back.
type player struct {
	name string
	c    *client.Client

	mu sync.Mutex
	// Guarded by mu.
	sent        uint64
	undelivered map[uint64]int // numbers that it was told may not have arrived, and how often
	echo        uint64         // the last
	jump        bool           // a reset or another session may have taken echoes
	wrong       []string
}

// talk makes players, the i-th of which begins at server i, and lets them send.
func (tr *troupe) talk(n int) {
	for i := range n {
		p := &player{name: fmt.Sprint("p", i), undelivered: map[uint64]int{}}
		var addrs []string
		for k := range tr.servers {
			addrs = append(addrs, "tcp://"+tr.servers[(i+k)%len(tr.servers)].role.TCP)
		}
		var err error
		p.c, err = client.New(addrs, client.Config{
			Ticket:  func(context.Context) ([]byte, error) { return []byte(p.name), nil },
			OnEvent: p.event, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			tr.t.Fatal(err)
		}
		client.OnMessage(p.c, "echo", p.echoed)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err = p.c.Connect(ctx)
		cancel()
		if err != nil {
			tr.t.Fatal(err)
		}
		tr.t.Cleanup(func() { _ = p.c.Close() })
		tr.players = append(tr.players, p)
		tr.talking.Go(func() { p.say(tr.over) })
	}
}

// say sends a number every 50 ms.
func (p *player) say(over <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		n := p.sent + 1
		p.sent = n // before it may be told about
		p.mu.Unlock()
		if err := p.c.Send("say", n); err != nil {
			p.mu.Lock()
			p.sent--
			p.mu.Unlock()
		}
	}
}

func (p *player) event(e client.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jump = p.jump || e.Kind == client.EventReset || e.Kind == client.EventGone
	for _, m := range e.Undelivered {
		var n uint64
		if err := codec.DecodeBody(m.Payload, &n); err != nil {
			p.wrong = append(p.wrong, err.Error())
		}
		p.undelivered[n]++
	}
}

func (p *player) echoed(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n != p.echo+1 && !(p.jump && n > p.echo) {
		p.wrong = append(p.wrong, fmt.Sprintf("echo %d after %d", n, p.echo))
	}
	p.echo, p.jump = n, false
}

// handled returns what the servers have handled of each player, in the order of time.
func (tr *troupe) handled() map[string][]uint64 {
	type entry struct {
		at   int64
		user string
		n    uint64
	}
	var all []entry
	for _, s := range tr.servers {
		b, err := os.ReadFile(s.role.Log)
		if err != nil {
			tr.t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var e entry
			if _, err := fmt.Sscanf(string(line), "%d say %s %d\n", &e.at, &e.user, &e.n); err == nil {
				all = append(all, e)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return int(a.at - b.at) })
	m := map[string][]uint64{}
	for _, e := range all {
		m[e.user] = append(m[e.user], e.n)
	}
	return m
}

// judge ends the talk, and compares what was sent with what was handled. Each number is
// handled once and in order, or its player was told once that it may not have been. In
// all there were at most so many resets and logins after the first.
func (tr *troupe) judge(resets, logins uint64) {
	tr.t.Helper()
	close(tr.over)
	tr.talking.Wait()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		all := tr.handled()
		complaints := ""
		for _, p := range tr.players {
			complaints += p.complaint(all[p.name])
		}
		if complaints == "" {
			break
		}
		if time.Now().After(end) {
			tr.t.Errorf("%s", complaints)
			break
		}
	}
	var reset, login uint64
	for _, p := range tr.players {
		st := p.c.Stats()
		reset, login = reset+uint64(st.Resets), login+uint64(st.Opens-1)
	}
	if reset > resets || login > logins {
		tr.t.Errorf("%d resets and %d logins, want at most %d and %d", reset, login, resets, logins)
	}
	sent, told := uint64(0), 0
	for _, p := range tr.players {
		p.mu.Lock()
		sent, told = sent+p.sent, told+len(p.undelivered)
		p.mu.Unlock()
	}
	tr.t.Logf("%d players sent %d, %d of them uncertain; %d resets, %d logins", len(tr.players), sent, told, reset, login)
}

// complaint tells what is not as it should be, or not yet.
func (p *player) complaint(handled []uint64) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var s strings.Builder
	bad := func(format string, args ...any) { fmt.Fprintf(&s, p.name+": "+format+"\n", args...) }
	for _, text := range p.wrong {
		bad("%s", text)
	}
	had, last := map[uint64]bool{}, uint64(0)
	for _, n := range handled {
		if n <= last {
			bad("%d was handled after %d", n, last)
		}
		had[n], last = true, max(last, n)
	}
	for n := uint64(1); n <= p.sent; n++ {
		if times := p.undelivered[n]; times > 1 || times == 0 && !had[n] {
			bad("%d of %d is handled: %v, told of %d times", n, p.sent, had[n], times)
			break
		}
	}
	if p.echo != last {
		bad("echo %d of %d", p.echo, last)
	}
	return s.String()
}

// TestProcessesRollingRestart restarts both of two servers under traffic.
func TestProcessesRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("real processes, real time")
	}
	rollingRestart(t, 2, 6, 500*time.Millisecond)
}

func rollingRestart(t *testing.T, n, players int, settle time.Duration) {
	tr := newTroupe(t, n, players)
	time.Sleep(settle)
	tr.restartAll(settle)
	tr.judge(0, 0)
}

// restartAll restarts one server after the other.
func (tr *troupe) restartAll(settle time.Duration) {
	t := tr.t
	t.Helper()
	for i, s := range tr.servers {
		if _, err := io.WriteString(s.in, "drain\n"); err != nil {
			t.Fatal(err)
		}
		if err := s.ends(t); err != nil {
			t.Fatalf("server %d: %v", i+1, err)
		}
		tr.servers[i] = tr.start(s.role, s.space)
		time.Sleep(settle)
	}
}

// restartWithRooms restarts three servers while members of their rooms send: each room has
// all of it, once and in order.
func restartWithRooms(t *testing.T) {
	const each = 500
	tr := newTroupe(t, 3, 12)
	var adding sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i, p := range tr.players {
		if err := p.c.Join(ctx, "tally", fmt.Sprint("key", i%4)); err != nil {
			t.Fatal(err)
		}
		adding.Go(func() {
			for n := range uint64(each) {
				if err := p.c.Send("add", n+1); err != nil {
					t.Error(err)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	time.Sleep(time.Second)
	tr.restartAll(2 * time.Second)
	adding.Wait()
	for _, p := range tr.players {
		var got [2]uint64
		if err := p.c.Request(ctx, "look", 0, &got); err != nil || got != [2]uint64{each, 0} {
			t.Errorf("%s: the room has %d of %d, %d out of order, %v", p.name, got[0], each, got[1], err)
		}
	}
	tr.judge(0, 0)
}

// stopWithRooms stops a server while members of its rooms send. No room runs at it any more once
// another server has it, and nothing is handled twice.
func stopWithRooms(t *testing.T, d time.Duration, dies bool) {
	tr := newTroupe(t, 3, 12)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	over := make(chan struct{})
	var adding sync.WaitGroup
	for i, p := range tr.players {
		if err := p.c.Join(ctx, "tally", fmt.Sprint("key", i%4)); err != nil {
			t.Fatal(err)
		}
		adding.Go(func() {
			for n, opens := uint64(1), p.c.Stats().Opens; ; n++ {
				select {
				case <-over:
					return
				case <-time.After(20 * time.Millisecond):
					_ = p.c.Send("add", n)
				}
				if now := p.c.Stats().Opens; now != opens && p.c.Join(ctx, "tally", fmt.Sprint("key", i%4)) == nil {
					opens = now // it has logged in anew, and an app joins anew
				}
			}
		})
	}
	time.Sleep(2 * time.Second)
	p := tr.servers[0]
	p.signal(t, syscall.SIGSTOP)
	time.Sleep(d)
	p.signal(t, syscall.SIGCONT)
	time.Sleep(8 * time.Second)
	close(over)
	adding.Wait()
	gens := map[string]uint64{} // by room: the last in the order of time
	had := map[string]bool{}
	moved, lines := 0, tr.added()
	for _, e := range lines {
		key, _, _ := strings.Cut(e.what, "/")
		switch {
		case e.gen < gens[key]:
			t.Errorf("%s: generation %d after %d", e.what, e.gen, gens[key])
		case e.gen > gens[key] && gens[key] != 0:
			moved++
		}
		if had[e.what] {
			t.Errorf("%s is handled twice", e.what)
		}
		gens[key], had[e.what] = e.gen, true
	}
	t.Logf("%d messages in %d rooms, %d made anew", len(lines), len(gens), moved)
	if dies != (moved > 0) {
		t.Errorf("%d rooms were made anew", moved)
	}
}

// addition is a message that a room has handled.
type addition struct {
	at   int64
	what string // key/user/number
	gen  uint64
}

// added returns what the rooms of all servers have handled, in the order of time.
func (tr *troupe) added() (all []addition) {
	for _, s := range tr.servers {
		b, err := os.ReadFile(s.role.Log)
		if err != nil {
			tr.t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var e addition
			if _, err := fmt.Sscanf(string(line), "%d add %s %d\n", &e.at, &e.what, &e.gen); err == nil {
				all = append(all, e)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b addition) int { return int(a.at - b.at) })
	return all
}

// TestProcesses is what may happen to servers and to their directory.
func TestProcesses(t *testing.T) {
	if !*allProcesses {
		t.Skip("-cluster.processes is not set")
	}
	stop := func(of func(*troupe) *process, d time.Duration, resets, logins uint64) func(*testing.T) {
		return func(t *testing.T) {
			tr := newTroupe(t, 3, 12)
			time.Sleep(2 * time.Second)
			p := of(tr)
			p.signal(t, syscall.SIGSTOP)
			time.Sleep(d)
			p.signal(t, syscall.SIGCONT)
			time.Sleep(8 * time.Second)
			tr.judge(resets, logins)
		}
	}
	first := func(tr *troupe) *process { return tr.servers[0] }
	directory := func(tr *troupe) *process { return tr.directory }
	for _, c := range []struct {
		name string
		play func(*testing.T)
	}{
		{"rolling restart of three", func(t *testing.T) { rollingRestart(t, 3, 12, 3*time.Second) }},
		{"rolling restart of three with rooms", restartWithRooms},
		{"a server is killed", func(t *testing.T) {
			tr := newTroupe(t, 3, 12)
			time.Sleep(2 * time.Second)
			tr.servers[0].signal(t, syscall.SIGKILL)
			time.Sleep(35 * time.Second)
			tr.judge(4, 4)
		}},
		{"a server is killed and started again", func(t *testing.T) {
			tr := newTroupe(t, 3, 12)
			time.Sleep(2 * time.Second)
			tr.servers[0].signal(t, syscall.SIGKILL)
			_ = tr.servers[0].ends(t)
			tr.servers[0] = tr.start(tr.servers[0].role, "")
			time.Sleep(10 * time.Second)
			tr.judge(4, 4)
		}},
		{"a server with rooms stands still for 17 s", func(t *testing.T) { stopWithRooms(t, 17*time.Second, false) }},
		{"a server with rooms stands still for 40 s", func(t *testing.T) { stopWithRooms(t, 40*time.Second, true) }},
		{"a server stands still for 10 s", stop(first, 10*time.Second, 0, 0)},
		{"a server stands still for 17 s", stop(first, 17*time.Second, 0, 0)},
		{"a server stands still for 40 s", stop(first, 40*time.Second, 4, 4)},
		{"the directory stands still for 10 s", stop(directory, 10*time.Second, 0, 0)},
		{"the directory stands still for 30 s", stop(directory, 30*time.Second, 0, 0)},
		{"the directory is killed and comes back", func(t *testing.T) {
			tr := newTroupe(t, 3, 12)
			time.Sleep(2 * time.Second)
			tr.directory.signal(t, syscall.SIGKILL)
			_ = tr.directory.ends(t)
			time.Sleep(5 * time.Second)
			tr.directory = tr.start(tr.directory.role, "")
			time.Sleep(10 * time.Second)
			tr.judge(0, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.play(t)
		})
	}
}
