// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/bench/server"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// stage is one server with its fleet.
type stage struct {
	o      *options
	kind   string // of the server
	server *server.Process
	fleet  *load.Fleet // nil if the players are Remote
	party  party       // whoever plays
	played int         // the process of the players
	empty  int64       // the server's memory before anybody came
	heap   uint64
	ramp   time.Duration
	before costs // the players came
}

// open starts a server and opens all sessions.
func (o *options) open(p peer) (*stage, error) {
	so := o.Options
	so.Kind, so.Carrier, so.Core, so.Links = p.kind, p.load.Carrier, o.serverCore, o.Sessions
	so.Program = o.programs[others[p.kind].built]
	if o.Return {
		so.Links *= 2 // a lost link and its successor
	}
	srv, err := server.Start(so)
	if err != nil {
		return nil, err
	}
	s := &stage{o: o, kind: p.kind, server: srv}
	if s.empty, err = srv.RSS(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.heap = srv.First().HeapAlloc
	p.load.Server, p.load.Key = o.farAway(srv.First().Addr), srv.First().Key
	if err := s.startPlayers(p); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.before, err = s.costs(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	profiled := o.command.name == "connect" // else what comes later is
	if profiled {
		if err := s.profile(true); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	start := time.Now()
	if err := s.party.Open(o.ramp); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.ramp = time.Since(start)
	if profiled {
		if err := s.profile(false); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// startPlayers makes the players.
func (s *stage) startPlayers(p peer) (err error) {
	tell := func(err error) { fmt.Fprintln(s.o.log, "bench:", err) }
	if others[p.kind].remote {
		p.load.Opening = min(p.load.Opening, 16) // quic-go refuses whom it can't accept at once
		remote, err := load.StartRemote(s.o.programs[others[p.kind].built], p.kind, p.load, tell)
		if err != nil {
			return err
		}
		s.party, s.played = remote, remote.PID()
		return nil
	}
	s.played = os.Getpid()
	if s.fleet, err = load.New(p.load, tell); err == nil {
		s.party = s.fleet
	}
	return err
}

func (s *stage) close() error {
	if s.party != nil {
		s.party.Close()
	}
	return s.server.Stop()
}

// costs are the counters at one moment.
type costs struct {
	server, client time.Duration
	machine        proc.Times
	at             time.Time
}

func (s *stage) costs() (c costs, err error) {
	var errs [3]error
	c.server, errs[0] = s.server.CPU()
	c.client, errs[1] = proc.CPU(s.played)
	c.machine, errs[2] = proc.Now()
	c.at = time.Now()
	return c, errors.Join(errs[:]...)
}

// window is a time that counts.
type window struct {
	from, to      costs
	before, after server.Status // a little longer than that
	messages      uint64        // between those two
	pushes        uint64
	hist          *chart.Histogram
	errs          load.Counts
	rss           int64
}

// settleIn is load that is not measured: asking the server for its status
// held everybody up.
const settleIn = 100 * time.Millisecond

// window has the players do something for d, and measures that.
func (s *stage) window(play func(time.Duration), d time.Duration) (w window, err error) {
	if err := s.profile(true); err != nil {
		return w, err
	}
	if w.before, err = s.server.Do("status"); err != nil {
		return w, err
	}
	s.party.Reset()
	play(settleIn)
	early, _ := s.party.Result()
	w.messages, w.pushes = early.Count(), s.pushes().Count()
	s.party.Reset()
	if w.from, err = s.costs(); err != nil {
		return w, err
	}
	play(d)
	if w.to, err = s.costs(); err != nil {
		return w, err
	}
	w.hist, w.errs = s.party.Result()
	w.messages += w.hist.Count()
	w.pushes += s.pushes().Count()
	if w.rss, err = s.server.RSS(); err != nil { // before anything makes the server collect garbage
		return w, err
	}
	if w.after, err = s.server.Do("status"); err != nil {
		return w, err
	}
	if w.errs.Sum() > 0 {
		s.explain(w.errs, w.after)
	}
	return w, s.profile(false)
}

// seconds is how long the window was.
func (w *window) seconds() float64 { return w.to.at.Sub(w.from.at).Seconds() }

// explain writes what went wrong in a run, and what lifeline's server knows of it.
func (s *stage) explain(errs load.Counts, st server.Status) {
	fmt.Fprintf(s.o.log, "bench: %s: %+v\n", s.kind, errs)
	if s.kind == "lifeline" {
		stats, _ := json.Marshal(st.Stats)
		fmt.Fprintf(s.o.log, "bench: its counters: %s\n", stats)
	}
}

// profile starts or stops the profiles of lifeline's server, if they are wanted.
func (s *stage) profile(start bool) error {
	if s.kind != "lifeline" {
		return nil
	}
	if s.o.profiles.cpu != "" {
		command := "cpu"
		if start {
			command += " " + s.o.profiles.cpu
		}
		if _, err := s.server.Do(command); err != nil {
			return err
		}
	}
	if start {
		if s.o.profiles.mutex+s.o.profiles.block == "" {
			return nil
		}
		_, err := s.server.Do("waits")
		return err
	}
	for name, file := range map[string]string{"heap": s.o.profiles.heap, "mutex": s.o.profiles.mutex, "block": s.o.profiles.block} {
		if file == "" {
			continue
		}
		if _, err := s.server.Do("profile " + name + " " + file); err != nil {
			return err
		}
	}
	return nil
}

// pushes and retransmits are those of the fleet, if it is one that plays.
func (s *stage) pushes() *chart.Histogram {
	if s.fleet == nil {
		return &chart.Histogram{}
	}
	return s.fleet.Pushes()
}

func (s *stage) retransmits() uint64 {
	if s.fleet == nil {
		return 0
	}
	return s.fleet.Retransmits()
}

// percent is a share of one core.
func percent(used, of time.Duration) float64 { return 100 * used.Seconds() / of.Seconds() }

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// figures are those of the whole window.
func (s *stage) figures(w *window) figures {
	f := s.times(w.hist, w.from, w.to)
	f.traffic(w)
	f.memory(s, w.rss)
	return f
}

// times are the figures of what hist has counted between two moments.
func (s *stage) times(hist *chart.Histogram, from, to costs) figures {
	window, n := to.at.Sub(from.at), float64(hist.Count())
	server, client, all := to.server-from.server, to.client-from.client, to.machine.Since(from.machine)
	f := figures{
		Messages: n, MessagesPerSecond: n / window.Seconds(),
		P50: us(hist.Quantile(0.5)), P99: us(hist.Quantile(0.99)),
		ServerCPU: percent(server, window),
		ClientCPU: percent(client, window),
		OthersCPU: percent(max(all.Busy-server-client, 0), window),
		Ramp:      s.ramp.Seconds(),
		Steal:     percent(all.Steal, max(all.Total, 1)),
	}
	if s.fleet != nil {
		f.Repeated = float64(s.fleet.Repeated())
	}
	if n > 0 {
		f.ServerCPUPerMsg = us(server) / n
	}
	return f
}

// traffic are the figures that the server keeps.
func (f *figures) traffic(w *window) {
	f.Goroutines = float64(w.after.Goroutines)
	if w.messages == 0 {
		return
	}
	per := func(a, b uint64) float64 { return float64(b-a) / float64(w.messages) }
	f.AllocsPerMessage = per(w.before.Mallocs, w.after.Mallocs)
	a, b := w.before.Stats.Transport, w.after.Stats.Transport
	f.DatagramsInPerMsg = per(a.DatagramsIn, b.DatagramsIn)
	f.DatagramsOutPerMsg = per(a.DatagramsOut, b.DatagramsOut)
	f.WakeUpsPerMsg = per(a.WakeUps, b.WakeUps)
}

// lateness are the figures of the players' own part in the latency.
func (f *figures) lateness(l *load.Lateness) {
	f.WriteLateP50, f.WriteLateP99 = us(l.Write.Quantile(0.5)), us(l.Write.Quantile(0.99))
	f.ReadLateP50, f.ReadLateP99 = us(l.Read.Quantile(0.5)), us(l.Read.Quantile(0.99))
	f.ApartP50, f.ApartP99, f.ApartP999 = us(l.Apart.Quantile(0.5)), us(l.Apart.Quantile(0.99)), us(l.Apart.Quantile(0.999))
}

func (f *figures) memory(s *stage, rss int64) {
	f.RSS = float64(rss)
	f.RSSPerSession = float64(rss-s.empty) / float64(s.o.Sessions)
}
