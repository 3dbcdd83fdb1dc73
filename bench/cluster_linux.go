// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/bench/server"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Many servers as one. What one of them costs is measured as echo and connect measure it;
// what players go through, with several servers and their directory in processes of
// their own.

func (o *options) clusterLocalFlags(fs *flag.FlagSet) {
	o.echoFlags(fs)
	o.busFlag(fs)
}

func (o *options) busFlag(fs *flag.FlagSet) {
	fs.StringVar(&o.bus, "bus", "nats", "what joins it: memory, or nats, a NATS server in its process")
}

// pair runs something in turn with a server of a cluster and with one that is alone, and compares.
func (o *options) pair(once func(*options, peer, *report) (figures, load.Counts, error)) error {
	joined := *o
	joined.Options.Cluster = o.bus
	servers := []*options{&joined, o}
	clustered, alone := o.report(peer{"cluster of one, " + o.bus, o.Config}), o.report(peer{"alone", o.Config})
	both := []*report{clustered, alone}
	err := o.inTurn(both, func(i int) (figures, load.Counts, error) {
		return once(servers[i], peer{"lifeline", o.Config}, both[i])
	})
	if err != nil {
		return err
	}
	alone.Over = compare(clustered, alone)
	if o.json {
		return writeJSON(o.out, map[string]any{"cluster": clustered, "alone": alone})
	}
	if err := table(o.out, both...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "\nin a cluster over alone, run by run: server CPU a message %v, p50 %v, p99 %v\n", alone.Over.ServerCPUPerMsg, alone.Over.P50, alone.Over.P99)
	return err
}

// clusterLocal compares what an echo costs.
func clusterLocal(o *options) error { return o.pair((*options).echoOnce) }

func (o *options) clusterLoginFlags(fs *flag.FlagSet) {
	o.connectFlags(fs)
	o.busFlag(fs)
}

// clusterLogin compares what it costs to open a session.
func clusterLogin(o *options) error {
	if err := o.share(); err != nil {
		return err
	}
	o.Config.Users, o.Options.Users = true, true
	return o.pair(func(o *options, p peer, _ *report) (figures, load.Counts, error) { return o.connectOnce(p) })
}

// group is some servers of one cluster, their directory, and their players.
type group struct {
	o         *options
	directory *server.Process
	ledger    *server.Ledger
	halls     *server.Halls // nil: there are no rooms that count
	options   []server.Options
	servers   []*server.Process // nil: it is not there at present
	fleet     *load.Fleet
	folder    string
}

// atAll has the players begin at all servers in turn.
const atAll = -1

// assemble starts n servers, one cluster if there are several, and opens the sessions at one of
// them, or at all.
func (o *options) assemble(n, at int) (g *group, err error) {
	if err := o.share(); err != nil {
		return nil, err
	}
	g = &group{o: o, servers: make([]*server.Process, n)}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	ports, err := g.prepare(n)
	if err == nil {
		err = g.openHalls()
	}
	if err != nil {
		return g, err
	}
	for i := range n {
		so := o.Options
		so.Kind, so.Carrier, so.Core, so.Links, so.Game, so.Users = "lifeline", o.Config.Carrier, o.serverCore, 2*o.Sessions, true, true
		if n > 1 {
			so.Cluster = g.directory.First().Addr.String()
		}
		so.Listen, so.Ledger, so.PushEach = ports[i].String(), g.ledger.Path, o.each
		if g.halls != nil {
			so.HallLedger = g.halls.Path
		}
		so.Size = cmp.Or(so.Size, 16)
		so.KeyFile = filepath.Join(g.folder, "key") // clients know all servers by one
		if !o.leaseOnly {
			so.Dir = filepath.Join(g.folder, "marks")
		}
		g.options = append(g.options, so)
		if err := g.start(i); err != nil {
			return g, err
		}
	}
	lc := o.Config
	lc.Key = g.servers[0].First().Key
	lc.Server, lc.Servers, lc.Users, lc.Return, lc.Route, lc.Rate = ports[0], ports[:n], true, true, "count", o.each*float64(o.Sessions)
	if at != atAll {
		lc.Servers = ports[at : at+1]
	}
	if g.fleet, err = load.New(lc, func(err error) { fmt.Fprintln(o.log, "bench:", err) }); err != nil {
		return g, err
	}
	err = g.fleet.Open(o.ramp)
	g.fleet.SetServers(ports[:n])
	return g, err
}

// prepare starts the directory, and finds n addresses for servers.
func (g *group) prepare(n int) (ports []netip.AddrPort, err error) {
	if g.folder, err = os.MkdirTemp("", "lifeline-bench-"); err != nil {
		return nil, err
	}
	if g.ledger, err = server.NewLedger(filepath.Join(g.folder, "ledger"), g.o.Sessions); err != nil {
		return nil, err
	}
	if ports, err = g.o.freePorts(n + 1); err != nil {
		return nil, err
	}
	g.directory, err = server.Start(server.Options{Kind: "directory", Core: g.o.serverCore, Listen: ports[n].String()})
	return ports[:n], err
}

// freePorts returns addresses that nothing listens on, whatever the carrier, and that no
// connection gets by itself while a server is away.
func (o *options) freePorts(n int) (all []netip.AddrPort, err error) {
	for range 100 {
		l, err := net.Listen("tcp4", o.OwnPort())
		if err != nil {
			continue
		}
		defer l.Close() // when all are found
		u, err := net.ListenPacket("udp4", l.Addr().String())
		if err != nil {
			continue
		}
		defer u.Close()
		if all = append(all, l.Addr().(*net.TCPAddr).AddrPort()); len(all) == n {
			return all, nil
		}
	}
	return nil, errors.New("no port is free")
}

// start starts server i.
func (g *group) start(i int) (err error) {
	if g.servers[i], err = server.Start(g.options[i]); err != nil {
		return fmt.Errorf("server %d: %w", i+1, err)
	}
	_, err = g.servers[i].Do("push")
	return err
}

// restart drains server i, ends its process, and starts it anew.
func (g *group) restart(i int) error {
	_, err := g.servers[i].Do("drain")
	err = errors.Join(err, g.servers[i].Stop())
	g.servers[i] = nil
	if err != nil {
		return fmt.Errorf("server %d: %w", i+1, err)
	}
	return g.start(i)
}

// during lets the players play while something is done.
func (g *group) during(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }() // ends with f
	for {
		g.fleet.Play(20 * time.Millisecond)
		select {
		case err := <-done:
			return err
		default:
		}
	}
}

func (g *group) close() error {
	var errs []error
	if g.fleet != nil {
		g.fleet.Close()
	}
	for _, p := range append(g.servers, g.directory) {
		if p != nil {
			errs = append(errs, p.Stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(g.folder))...)
}

// outage is what the players of several servers went through.
type outage struct {
	Course   string  `json:"course"`
	Carrier  string  `json:"carrier"`
	Servers  int     `json:"servers"`
	Sessions int     `json:"sessions"`
	Each     float64 `json:"messages_per_second_and_player"` // each way
	Seconds  float64 `json:"seconds"`

	Up   uint64 `json:"numbered_up"`   // requests
	Down uint64 `json:"numbered_down"` // messages of the servers
	// Lost are requests that were not handled and of which their player was not told, and
	// messages that did not arrive and of which no reset told.
	Lost   uint64 `json:"lost"`
	Twice  uint64 `json:"twice"`  // requests that were handled again
	Resets int    `json:"resets"` // streams that began anew
	Logins int    `json:"logins"` // after the first

	Uncertain  uint64 `json:"uncertain"`  // requests of which their player was told that they may not have arrived
	Unhandled  uint64 `json:"unhandled"`  // of those
	Unanswered uint64 `json:"unanswered"` // requests whose answer a reset or a login has taken

	Silence50 float64 `json:"silence_p50_ms"` // the longest of each player
	Silence99 float64 `json:"silence_p99_ms"`
	SilenceTo float64 `json:"silence_max_ms"`
	Before99  float64 `json:"silence_before_p99_ms"` // the same before anything happened: the rhythm of the traffic
	Away50    float64 `json:"away_p50_ms"`           // from losing the link to being back
	Away99    float64 `json:"away_p99_ms"`
	AwayTo    float64 `json:"away_max_ms"`
	Returned  uint64  `json:"returned"`      // times that a player lost its link and came back
	Redial50  float64 `json:"redial_p50_ms"` // from its first attempt on
	Redial99  float64 `json:"redial_p99_ms"`
	BackAfter float64 `json:"all_back_ms"` // since it happened

	Paused  []float64   `json:"paused_seconds"` // of each server that lives since the start
	Errors  load.Counts `json:"errors"`
	CPU     float64     `json:"machine_cpu_percent"` // of all its cores
	Machine machine     `json:"machine"`
}

// outageFlags are what all courses with several servers know.
func (o *options) outageFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 1000, "players")
	fs.Float64Var(&o.each, "each", 5, "numbered requests a second of each player, and as many messages to it")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "traffic before")
	fs.DurationVar(&o.settle, "settle", 2*time.Second, "traffic after each step")
	fs.DurationVar(&o.duration, "limit", time.Minute, "how long anything may take until it is in order again")
	o.carrierDefault(fs, "tcp")
}

func (o *options) clusterKillFlags(fs *flag.FlagSet) {
	o.outageFlags(fs)
	fs.BoolVar(&o.leaseOnly, "lease-only", false, "the others find out by its lease alone, as if its machine were gone")
}

func (o *options) clusterRestartFlags(fs *flag.FlagSet) {
	o.outageFlags(fs)
	fs.DurationVar(&o.Drain, "drain", 5*time.Second, "over which a server lets its players go")
}

func (o *options) clusterPauseFlags(fs *flag.FlagSet) {
	o.outageFlags(fs)
	fs.DurationVar(&o.stopped, "stop", 30*time.Second, "how long the directory stands still")
}

func (o *options) clusterResumeFlags(fs *flag.FlagSet) {
	o.outageFlags(fs)
	fs.Float64Var(&o.cuts, "cuts", 5, "percent of the links that are cut in each second")
}

// clusterRestart restarts each of three servers.
func clusterRestart(o *options) error {
	return o.outage("restart", 3, atAll, (*group).restartAll)
}

// restartAll restarts one server after the other.
func (g *group) restartAll() error {
	for i := range g.servers {
		if err := g.during(func() error { return g.restart(i) }); err != nil {
			return err
		}
		if err := g.fleet.Regain(g.o.duration); err != nil {
			return err
		}
		g.fleet.Play(g.o.settle)
	}
	return nil
}

// clusterKill kills the first of three servers.
func clusterKill(o *options) error {
	o.Config.Relogin = true
	return o.outage("kill", 3, atAll, func(g *group) error {
		first := g.servers[0]
		g.servers[0] = nil
		if err := first.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		_ = first.Stop()                    // it was killed, and says so
		g.fleet.Play(20 * time.Millisecond) // until the players know
		return g.fleet.Regain(o.duration)
	})
}

// clusterPause stops the directory for a while.
func clusterPause(o *options) error {
	return o.outage("pause", 3, atAll, func(g *group) error {
		if err := g.directory.Pause(); err != nil {
			return err
		}
		g.fleet.Play(o.stopped)
		if err := g.directory.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		g.fleet.Play(5 * time.Second) // they renew their leases, and clients ask again
		return g.fleet.Regain(o.duration)
	})
}

// clusterResume cuts links of players of one server. They come back to the other one first.
func clusterResume(o *options) error {
	o.Config.Wrong = true
	return o.outage("resume", 2, 0, func(g *group) error {
		const step = 20 * time.Millisecond
		began := time.Now()
		for due := 0.0; time.Since(began) < o.settle; {
			due += o.cuts / 100 * float64(o.Sessions) * step.Seconds()
			g.fleet.CutSome(int(due))
			due -= float64(int(due))
			g.fleet.Play(step)
		}
		return g.fleet.Regain(o.duration)
	})
}

// outage plays a course with so many servers, and prints what the players went through.
func (o *options) outage(course string, servers, at int, happen func(*group) error) error {
	r, err := o.play(course, servers, at, happen)
	if err != nil {
		return err
	}
	return o.printLines(r)
}

// play plays a course with so many servers, and returns what the players went through.
func (o *options) play(course string, servers, at int, happen func(*group) error) (r *outage, err error) {
	g, err := o.assemble(servers, at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	g.fleet.Listen()
	g.fleet.Play(o.warmup)
	before := g.fleet.Silences()
	g.fleet.Reset()
	g.fleet.Listen()
	from, err := proc.Now()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := happen(g); err != nil {
		return nil, fmt.Errorf("%s: %w", course, err)
	}
	r = &outage{
		Course: course, Carrier: o.Config.Carrier, Servers: servers, Sessions: o.Sessions, Each: o.each,
		Seconds: round(time.Since(began).Seconds()), Machine: o.machine(), Before99: ms(before.Quantile(0.99)),
	}
	back, _ := g.fleet.Returns()
	r.BackAfter = ms(back.Max())
	g.fleet.Play(o.settle)
	to, err := proc.Now()
	if err != nil {
		return nil, err
	}
	all := to.Since(from)
	r.CPU = round(percent(all.Busy, max(all.Total, 1)))
	r.waited(g.fleet)
	if err := r.account(g); err != nil {
		return nil, err
	}
	return r, nil
}

// waited fills in how long the players waited.
func (r *outage) waited(f *load.Fleet) {
	r.Silence50, r.Silence99, r.SilenceTo = extent(f.Silences())
	r.Away50, r.Away99, r.AwayTo = extent(f.Aways())
	r.Redial50, r.Redial99, _ = extent(f.Redials())
	r.Returned = f.Redials().Count()
}

// extent is the middle and the ends of times, in milliseconds.
func extent(h *chart.Histogram) (p50, p99, most float64) {
	if h.Count() == 0 {
		return 0, 0, 0
	}
	return ms(h.Quantile(0.5)), ms(h.Quantile(0.99)), ms(h.Max())
}

// account ends the traffic and compares what both sides know.
func (r *outage) account(g *group) error {
	if err := g.fleet.Finish(g.o.duration); err != nil {
		return err
	}
	for _, p := range g.servers {
		if p != nil {
			st, err := p.Do("hush")
			if err != nil {
				return err
			}
			if st.Stats.Cluster != nil {
				r.Paused = append(r.Paused, round(st.Stats.Cluster.Paused.Seconds()))
			}
		}
	}
	// What was pushed last arrives.
	down, err := g.missing(func() (n uint64, err error) {
		for i := range g.o.Sessions {
			pushed := g.ledger.Account(i).Pushed
			n += pushed - min(pushed, g.fleet.Standing(i).Pushed)
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	r.Lost += down
	_, r.Errors = g.fleet.Result()
	_, r.Resets = g.fleet.Returns()
	r.Logins, r.Unanswered = g.fleet.Logins(), g.fleet.Unanswered()
	for i := range g.o.Sessions {
		p, s := g.fleet.Standing(i), g.ledger.Account(i)
		unhandled := s.Missing + p.Asked - min(s.Next, p.Asked)
		r.Up, r.Down = r.Up+p.Asked, r.Down+s.Pushed
		r.Twice += s.Repeated
		r.Uncertain, r.Unhandled = r.Uncertain+p.Undelivered, r.Unhandled+unhandled
		r.Lost += unhandled - min(unhandled, p.Undelivered)
	}
	return nil
}
