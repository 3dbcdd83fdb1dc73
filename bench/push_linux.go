// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
)

// Messages to users by their names: what it costs that a user is at another server.

func (o *options) clusterPushFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 100, "users, all at one server")
	fs.IntVar(&o.Options.Size, "size", 64, "bytes of a message, without its number and its time")
	fs.Float64Var(&o.Rate, "rate", 2000, "messages a second, where it is an open loop")
	fs.IntVar(&o.SendWindow, "window", 16, "messages to a user that have not arrived, where as many are sent as arrive")
	fs.DurationVar(&o.duration, "duration", 3*time.Second, "length of a window")
	fs.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "messages before the window")
	fs.IntVar(&o.runs, "runs", 3, "runs of each, in turn")
	o.carrierDefault(fs, "tcp")
}

// carrierDefault changes what is played over if the command line says nothing.
func (o *options) carrierDefault(fs *flag.FlagSet, carrier string) {
	fs.Lookup("carrier").DefValue = carrier
	o.Config.Carrier = carrier
}

// more is what a message costs more if its user is at another server, run by run.
type more struct {
	ServerCPUPerMsg spread `json:"server_cpu_us_per_message"`
	P50             spread `json:"p50_us"`
	P99             spread `json:"p99_us"`
}

func moreOf(far, near *report) more {
	over := func(field func(*figures) float64) spread {
		var all []float64
		for i := range far.Each {
			all = append(all, field(&far.Each[i])-field(&near.Each[i]))
		}
		return spreadOf(all)
	}
	return more{
		over(func(f *figures) float64 { return f.ServerCPUPerMsg }),
		over(func(f *figures) float64 { return f.P50 }),
		over(func(f *figures) float64 { return f.P99 }),
	}
}

// The users are at the second of two servers. The first one sends to them, and in turn with
// it the second one itself.
const (
	otherServer = iota
	sameServer
)

// clusterPush compares pushes to users of another server with those to users of the same.
func clusterPush(o *options) (err error) {
	if o.Rate <= 0 || o.SendWindow < 1 {
		return errors.New("-rate and -window must be above 0")
	}
	o.each, o.SendTo = 0, o.Sessions
	g, err := o.assemble(2, sameServer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	g.fleet.OnPush(g.ledger.Arrived)
	kinds := []struct {
		name string
		from int
		rate float64
	}{{"at_rate_other_server", otherServer, o.Rate}, {"at_rate_same_server", sameServer, o.Rate}, {"saturated_other_server", otherServer, 0}, {"saturated_same_server", sameServer, 0}}
	all, named := make([]*report, len(kinds)), map[string]any{}
	for i, k := range kinds {
		all[i] = o.report(peer{fmt.Sprintf("%s, %s", []string{"other server", "same server"}[k.from], pace(k.rate)), o.Config})
		all[i].Size, named[k.name] = o.Options.Size, all[i]
	}
	err = o.inTurn(all, func(i int) (figures, load.Counts, error) { return g.pushed(kinds[i].from, kinds[i].rate, all[i]) })
	if err != nil {
		return err
	}
	atRate, saturated := moreOf(all[0], all[1]), moreOf(all[2], all[3])
	all[1].Over, all[3].Over = compare(all[0], all[1]), compare(all[2], all[3])
	named["at_rate_more"], named["saturated_more"] = atRate, saturated
	if o.json {
		return writeJSON(o.out, named)
	}
	if err := table(o.out, all...); err != nil {
		return err
	}
	for i, m := range []more{atRate, saturated} {
		fmt.Fprintf(o.out, "\n%s, more than on the same server, run by run: server CPU a message %v us, p50 %v us, p99 %v us\n", all[2*i].Server, m.ServerCPUPerMsg, m.P50, m.P99)
	}
	return nil
}

// pace says how fast messages are sent.
func pace(rate float64) string {
	if rate == 0 {
		return "saturated"
	}
	return fmt.Sprintf("%g/s", rate)
}

// groupCosts are the counters of all processes of a group at one moment.
type groupCosts struct {
	servers            []time.Duration
	directory, players time.Duration
	machine            proc.Times
	at                 time.Time
}

func (g *group) costs() (c groupCosts, err error) {
	var errs []error
	note := func(d time.Duration, err error) time.Duration {
		errs = append(errs, err)
		return d
	}
	for _, p := range g.servers {
		c.servers = append(c.servers, note(p.CPU()))
	}
	c.directory, c.players = note(g.directory.CPU()), note(proc.CPU(os.Getpid()))
	c.machine, err = proc.Now()
	c.at = time.Now()
	return c, errors.Join(append(errs, err)...)
}

// pushed measures messages of one server, at a rate, or with 0 as fast as they arrive.
func (g *group) pushed(from int, rate float64, r *report) (f figures, errs load.Counts, err error) {
	sender := g.servers[from]
	if _, err := sender.Do(fmt.Sprint("send ", rate)); err != nil {
		return f, errs, err
	}
	g.fleet.Idle(g.o.warmup)
	before, err := sender.Do("status")
	if err != nil {
		return f, errs, err
	}
	g.fleet.Idle(settleIn)
	g.fleet.Reset()
	begin, err := g.costs()
	if err != nil {
		return f, errs, err
	}
	g.fleet.Idle(g.o.duration)
	end, err := g.costs()
	if err != nil {
		return f, errs, err
	}
	f = g.pushFigures(from, begin, end)
	r.Curve = g.fleet.Pushes().Curve()
	after, err := sender.Do("send")
	if err != nil {
		return f, errs, err
	}
	f.Backpressure = float64(after.Sent.Backpressure - before.Sent.Backpressure)
	f.Goroutines = float64(after.Goroutines)
	if n := after.Sent.Failed - before.Sent.Failed; n > 0 {
		return f, errs, fmt.Errorf("%d messages were not taken", n)
	}
	f.MessagesLost = float64(g.onTheWay(20 * time.Second))
	_, errs = g.fleet.Result()
	return f, errs, nil
}

// onTheWay waits for messages that have not arrived, and returns how many never do.
func (g *group) onTheWay(limit time.Duration) (n uint64) {
	for end := time.Now().Add(limit); ; {
		g.fleet.Idle(50 * time.Millisecond)
		n = 0
		for i := range g.o.Sessions {
			n += g.ledger.Account(i).Pushed - g.fleet.Standing(i).Pushed
		}
		if n == 0 || time.Now().After(end) {
			return n
		}
	}
}

// pushFigures are those between two moments.
func (g *group) pushFigures(from int, begin, end groupCosts) figures {
	hist, window := g.fleet.Pushes(), end.at.Sub(begin.at)
	n := float64(hist.Count())
	per := func(d time.Duration) float64 { return us(d) / max(n, 1) }
	used := func(i int) time.Duration { return end.servers[i] - begin.servers[i] }
	directory, players := end.directory-begin.directory, end.players-begin.players
	servers := used(otherServer) + used(sameServer) + directory
	machine := end.machine.Since(begin.machine)
	f := figures{
		Messages: n, MessagesPerSecond: n / window.Seconds(), P50: us(hist.Quantile(0.5)), P99: us(hist.Quantile(0.99)),
		ServerCPUPerMsg: per(servers), SenderCPUPerMsg: per(used(from)), DirectoryCPUPerMsg: per(directory),
		ServerCPU: percent(servers, window), ClientCPU: percent(players, window),
		OthersCPU: percent(max(machine.Busy-servers-players, 0), window), Steal: percent(machine.Steal, max(machine.Total, 1)),
	}
	if from == otherServer {
		f.ReceiverCPUPerMsg = per(used(sameServer))
	}
	return f
}
