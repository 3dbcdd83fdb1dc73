// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
)

// What is broadcast to a group: what it costs that its members are at several servers.

func (o *options) clusterFanFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "members", 1500, "players, all of one group")
	fs.IntVar(&o.Options.Size, "size", 64, "bytes of a message, without its number and its time")
	fs.Float64Var(&o.Rate, "rate", 20, "broadcasts a second, all by the first server")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "length of a window")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "broadcasts before the window")
	fs.IntVar(&o.runs, "runs", 3, "runs of each, in turn, with servers of their own")
	o.carrierDefault(fs, "tcp")
	o.coreFlags(fs)
}

// clusterFan compares broadcasts to the players of three servers with those to the players of
// one that is alone. All servers share one core, so that what has to be done is compared, and
// not how many can do it.
func clusterFan(o *options) error {
	if o.Rate <= 0 {
		return errors.New("-rate must be above 0")
	}
	o.Fan, o.each = true, 0
	rate, servers := o.Rate, []int{3, 1}
	o.Rate = 0 // the players ask for nothing
	three, one := o.report(peer{"three servers", o.Config}), o.report(peer{"one server", o.Config})
	both := []*report{three, one}
	for _, r := range both {
		r.Size, r.Rate = o.Options.Size, rate
	}
	err := o.inTurn(both, func(i int) (figures, load.Counts, error) { return o.fanOnce(servers[i], rate, both[i]) })
	if err != nil {
		return err
	}
	delivery := func(f *figures) float64 { return f.CPUPerDelivery }
	q := over(three, one, delivery, delivery)
	if o.json {
		return writeJSON(o.out, map[string]any{"three_servers": three, "one_server": one, "cpu_per_delivery_three_over_one": q})
	}
	if err := table(o.out, both...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "\nCPU a delivery of all servers and their directory, run by run: three / one %.2f [%.2f - %.2f]\n", q.Median, q.Lowest, q.Highest)
	return err
}

// fanOnce measures broadcasts of the first of n servers.
func (o *options) fanOnce(n int, rate float64, r *report) (f figures, errs load.Counts, err error) {
	g, err := o.assemble(n, atAll)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	if _, err := g.servers[0].Do(fmt.Sprint("send ", rate)); err != nil {
		return f, errs, err
	}
	g.fleet.Idle(o.warmup)
	g.fleet.Reset()
	begin, err := g.costs()
	if err != nil {
		return f, errs, err
	}
	g.fleet.Idle(o.duration)
	end, err := g.costs()
	if err != nil {
		return f, errs, err
	}
	got, window := g.fleet.Pushes(), end.at.Sub(begin.at)
	r.Curve = got.Curve()
	f, f.CPUPerDelivery = g.used(0, begin, end)
	f.Deliveries, f.DeliveriesPerS = float64(got.Count()), float64(got.Count())/window.Seconds()
	f.DeliveryP50, f.DeliveryP99, f.DeliveryMax = us(got.Quantile(0.5)), us(got.Quantile(0.99)), us(got.Max())
	if _, err := g.servers[0].Do("send"); err != nil {
		return f, errs, err
	}
	lost, err := g.missing(func() (n uint64, err error) {
		after, err := g.servers[0].Do("status") // it takes what it was sending meanwhile
		if err != nil {
			return 0, err
		}
		if s := after.Sent; s.Failed > 0 {
			return 0, fmt.Errorf("%d broadcasts were not taken", s.Failed)
		}
		f.Backpressure = float64(after.Sent.Backpressure)
		for i := range o.Sessions {
			n += after.Sent.Taken - min(after.Sent.Taken, g.fleet.Standing(i).Pushed)
		}
		return n, nil
	})
	if err != nil {
		return f, errs, err
	}
	f.MessagesLost = float64(lost)
	_, errs = g.fleet.Result()
	return f, errs, nil
}

// used are the figures of what all processes have used between two moments, with those of a
// server that sends. perMessage is what each message has cost all of them that has arrived.
func (g *group) used(sender int, begin, end groupCosts) (f figures, perMessage float64) {
	window, n := end.at.Sub(begin.at), max(float64(g.fleet.Pushes().Count()), 1)
	directory, players := end.directory-begin.directory, end.players-begin.players
	all := directory
	for i := range end.servers {
		all += end.servers[i] - begin.servers[i]
	}
	machine := end.machine.Since(begin.machine)
	f.SenderCPUPerMsg, f.DirectoryCPUPerMsg = us(end.servers[sender]-begin.servers[sender])/n, us(directory)/n
	f.ServerCPU, f.ClientCPU = percent(all, window), percent(players, window)
	f.OthersCPU, f.Steal = percent(max(machine.Busy-all-players, 0), window), percent(machine.Steal, max(machine.Total, 1))
	return f, us(all) / n
}
