// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/bench/server"
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
	fs.StringVar(&o.versus, "versus", "", "run another one's cluster as well, in turn: pitaya (tcp)")
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

// pushKind is one of the things that are compared.
type pushKind struct {
	name, label string
	group       *group
	from        int
	rate        float64
}

// clusterPush compares pushes to users of another server with those to users of the same.
func clusterPush(o *options) (err error) {
	if o.Rate <= 0 || o.SendWindow < 1 {
		return errors.New("-rate and -window must be above 0")
	}
	rate := o.Rate
	o.each, o.SendTo = 0, o.Sessions
	ours, err := o.assemble(2, sameServer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	kinds := []pushKind{
		{"at_rate_other_server", "other server", ours, otherServer, rate}, {"at_rate_same_server", "same server", ours, sameServer, rate},
		{"saturated_other_server", "other server", ours, otherServer, 0}, {"saturated_same_server", "same server", ours, sameServer, 0},
	}
	if o.versus != "" {
		var theirs *group
		if theirs, err = o.assembleOther(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, theirs.close()) }()
		kinds = append(kinds, pushKind{"at_rate_pitaya", "pitaya", theirs, otherServer, rate}, pushKind{"saturated_pitaya", "pitaya", theirs, otherServer, 0})
	}
	return o.comparePushes(kinds)
}

// comparePushes measures all kinds in turn, and prints them: first ours, to users of another
// server and of the same, at a rate and without; then those of others.
func (o *options) comparePushes(kinds []pushKind) error {
	all, named := make([]*report, len(kinds)), map[string]any{}
	for i, k := range kinds {
		k.group.fleet.OnPush(k.group.ledger.Arrived)
		all[i] = o.report(peer{k.label + ", " + pace(k.rate), o.Config})
		all[i].Size, named[k.name] = o.Options.Size, all[i]
	}
	err := o.inTurn(all, func(i int) (figures, load.Counts, error) {
		return kinds[i].group.pushed(kinds[i].from, kinds[i].rate, all[i])
	})
	if err != nil {
		return err
	}
	atRate, saturated := moreOf(all[0], all[1]), moreOf(all[2], all[3])
	for i, over := range map[int]int{1: 0, 3: 2, 4: 0, 5: 2} {
		if i < len(all) {
			all[i].Over = compare(all[over], all[i])
		}
	}
	named["at_rate_more"], named["saturated_more"] = atRate, saturated
	if o.json {
		return writeJSON(o.out, named)
	}
	if err := table(o.out, all...); err != nil {
		return err
	}
	for i, m := range []more{atRate, saturated} {
		fmt.Fprintf(o.out, "\n%s, more than on the same server, run by run, in us: server CPU a message %s, p50 %s, p99 %s\n", all[2*i].Server, signed(m.ServerCPUPerMsg), signed(m.P50), signed(m.P99))
	}
	return nil
}

// signed is a spread of differences, which may be negative.
func signed(s spread) string { return fmt.Sprintf("%+g [%+g - %+g]", s.Median, s.Lowest, s.Highest) }

// pitayaFolder has pitaya's servers, in a module of their own.
const pitayaFolder = "peers/pitaya"

// assembleOther starts pitaya's backend and frontend, with the same NATS server between them,
// and opens the sessions of players that are its users.
func (o *options) assembleOther() (g *group, err error) {
	if o.versus != "pitaya" || o.Config.Carrier != "tcp" {
		return nil, fmt.Errorf("-versus %s: only pitaya, with -carrier tcp", o.versus)
	}
	if err := o.build(pitayaFolder); err != nil {
		return nil, err
	}
	defer o.removeBuilt()
	g = &group{o: o, servers: make([]*server.Process, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	ports, err := g.prepare(1)
	if err != nil {
		return g, err
	}
	so := server.Options{
		Program: o.programs[pitayaFolder], Core: -1, Cluster: g.directory.First().Addr.String(), Listen: ports[0].String(),
		Ledger: g.ledger.Path, SendTo: o.SendTo, SendWindow: o.SendWindow, Size: o.Options.Size,
	}
	for i, kind := range []string{otherServer: "pitaya-backend", sameServer: "pitaya-frontend"} {
		so.Kind = kind
		if g.servers[i], err = server.Start(so); err != nil {
			return g, err
		}
	}
	lc := load.Config{
		Server: ports[0], Carrier: "tcp", Bare: true, Sessions: o.Sessions, Size: 16 + o.Options.Size, Window: 1, Opening: o.Opening,
		Dialect: pitayaPushes(16 + o.Options.Size),
	}
	if g.fleet, err = load.New(lc, func(err error) { fmt.Fprintln(o.log, "bench: pitaya:", err) }); err != nil {
		return g, err
	}
	return g, g.fleet.Open(o.ramp)
}

// pitayaPushes is what players of pitaya say and hear: that they come, a request that makes
// users of them, and messages of so many bytes.
func pitayaPushes(size int) load.Dialect {
	const handshake, ack, data = 1, 2, 4
	const enter, push = "frontend.entry.enter", "push"
	message := "\x06" + string(rune(len(push))) + push
	return load.Dialect{
		Knock: slices.Concat(pomelo(handshake, "{}", 0), pomelo(ack, "", 0),
			pomelo(data, "\x00\x01"+string(rune(len(enter)))+enter, 0)),
		Welcome: append(pomelo(handshake, `{"code":200,"sys":{"dict":{},"heartbeat":600,"serializer":"json"}}`, 0), pomelo(data, "\x04\x01ok", 0)...),
		Push:    pomelo(data, message, size),
	}
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
	lost, err := g.missing(func() (n uint64, err error) {
		for i := range g.o.Sessions {
			n += g.ledger.Account(i).Pushed - g.fleet.Standing(i).Pushed
		}
		return n, nil
	})
	f.MessagesLost = float64(lost)
	_, errs = g.fleet.Result()
	return f, errs, err
}

// missing waits for messages that have not arrived, which count counts, and returns how
// many never do.
func (g *group) missing(count func() (uint64, error)) (n uint64, err error) {
	for end := time.Now().Add(20 * time.Second); ; {
		g.fleet.Idle(50 * time.Millisecond)
		if n, err = count(); n == 0 || err != nil || time.Now().After(end) {
			return n, err
		}
	}
}

// pushFigures are those between two moments.
func (g *group) pushFigures(from int, begin, end groupCosts) figures {
	hist, window := g.fleet.Pushes(), end.at.Sub(begin.at)
	n := float64(hist.Count())
	f, perMessage := g.used(from, begin, end)
	f.Messages, f.MessagesPerSecond, f.ServerCPUPerMsg = n, n/window.Seconds(), perMessage
	f.P50, f.P99 = us(hist.Quantile(0.5)), us(hist.Quantile(0.99))
	if from == otherServer {
		f.ReceiverCPUPerMsg = us(end.servers[sameServer]-begin.servers[sameServer]) / max(n, 1)
	}
	return f
}
