// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lifeline-go/lifeline/bench/link/path"
	"github.com/lifeline-go/lifeline/bench/link/wire"
	"github.com/lifeline-go/lifeline/bench/load"
)

// lossFlags: game traffic is 60 bytes up and 400 down, twenty times a second.
func (o *options) lossFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 50, "players")
	fs.StringVar(&o.losses, "loss", "0,1,5,10,20", "percent of the packets that are lost, each way; several with commas")
	fs.StringVar(&o.versus, "servers", "lifeline/plain-kcp,lifeline/tcp,kcp-go,quic-go,go-tcp", "what is tried; several with commas")
	fs.DurationVar(&o.delay, "delay", 25*time.Millisecond, "what each way takes")
	fs.Float64Var(&o.Rate, "rate", 20, "requests a second of each player")
	fs.IntVar(&o.Config.Size, "size", 60, "bytes of a request")
	fs.IntVar(&o.Config.Answer, "answer", 400, "bytes of an answer")
	fs.DurationVar(&o.duration, "duration", 10*time.Second, "length of a window of game traffic")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "load before the window")
	fs.DurationVar(&o.settle, "bulk", 5*time.Second, "length of a window of bulk: 4 players, 16 requests of 8 KB on the way each; 0: none")
	fs.IntVar(&o.runs, "runs", 3, "runs of everything, in turn")
}

// loss runs servers behind a bad network: a device in a network namespace, so
// that TCP is the kernel's own and loses what everybody loses.
func loss(o *options) error {
	if !wire.Inside() {
		return wire.Namespace()
	}
	levels, err := percents(o.losses)
	if err != nil {
		return err
	}
	tun, err := wire.OpenTun(path.Config{}, path.Config{})
	if err != nil {
		return err
	}
	defer tun.Close()
	defer o.removeBuilt()
	o.tun, o.Host = tun, wire.Server.String()
	o.Ask, o.Options.Answer = o.Config.Size, o.Config.Answer
	var reports []*report
	for _, level := range levels {
		some, err := o.lossLevel(level)
		if err != nil {
			return err
		}
		reports = append(reports, some...)
	}
	if o.json {
		return writeJSON(o.out, reports)
	}
	return lossTable(o, reports)
}

// lossLevel tries the servers in turn, so that they have the same neighbors,
// and in each round with the same lottery.
func (o *options) lossLevel(level float64) (reports []*report, err error) {
	names := strings.Split(o.versus, ",")
	for round := range o.runs {
		for i, name := range names {
			p, err := o.lossPeer(name)
			if err != nil {
				return nil, err
			}
			if round == 0 {
				r := o.report(p)
				r.Server, r.Loss, r.Size = name, level, o.Config.Size
				reports = append(reports, r)
			}
			fmt.Fprintf(o.log, "%s at %g %% loss\n", name, level)
			f, errs, err := o.lossOnce(p, reports[i], level, uint64(round+1))
			if err != nil {
				return nil, fmt.Errorf("%s at %g %% loss: %w", name, level, err)
			}
			reports[i].add(f, errs)
		}
	}
	return reports, nil
}

func percents(list string) ([]float64, error) {
	all, err := numbers("loss", list)
	if err == nil && slices.Max(all) > 100 {
		return nil, fmt.Errorf("-loss %s: more than all can't be lost", list)
	}
	return all, err
}

func (o *options) lossPeer(name string) (peer, error) {
	if !strings.HasPrefix(name, "lifeline/") && !others[name].answers {
		return peer{}, fmt.Errorf("-servers: %q is not among lifeline/CARRIER, kcp-go, quic-go and go-tcp", name)
	}
	p, err := o.named(name)
	p.load.Rate *= float64(o.Sessions)
	return p, err
}

// network sets the loss of both ways.
func (o *options) network(level float64, seed uint64) {
	up := path.Config{Delay: o.delay, Loss: level / 100, Seed: seed}
	down := up
	down.Seed += 1 << 32
	o.tun.Set(up, down)
}

func (o *options) lossOnce(p peer, r *report, level float64, seed uint64) (f figures, errs load.Counts, err error) {
	o.network(0, seed) // opening is not what is measured
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	o.network(level, seed)
	s.party.Play(o.warmup)
	up, down := o.tun.Traffic()
	w, err := s.window(s.party.Play, o.duration)
	if err != nil {
		return f, errs, err
	}
	upTo, downTo := o.tun.Traffic()
	f, hist := s.figures(&w), w.hist
	f.P90, f.P999, f.Longest = us(hist.Quantile(0.9)), us(hist.Quantile(0.999)), us(hist.Max())
	f.Unanswered = float64(s.party.Waiting())
	if n := float64(w.messages); n > 0 {
		f.UpPackets, f.UpBytes = float64(upTo.Packets-up.Packets)/n, float64(upTo.Bytes-up.Bytes)/n
		f.DownPackets, f.DownBytes = float64(downTo.Packets-down.Packets)/n, float64(downTo.Bytes-down.Bytes)/n
	}
	r.Curve = hist.Curve()
	if o.settle > 0 {
		f.Bulk, err = o.bulkOnce(p, level, seed)
	}
	return f, w.errs, err
}

// bulkOnce measures how much few players move both ways, in Mbit/s each way.
func (o *options) bulkOnce(p peer, level float64, seed uint64) (mbit float64, err error) {
	bulk := *o
	const size = 8 << 10
	bulk.Sessions, bulk.Ask, bulk.Options.Answer = 4, size, size
	p.load.Sessions, p.load.Size, p.load.Answer, p.load.Rate, p.load.Window = 4, size, size, 0, 16
	o.network(0, seed)
	s, err := bulk.open(p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	o.network(level, seed)
	s.party.Play(o.warmup)
	s.party.Reset()
	start := time.Now()
	s.party.Play(o.settle)
	hist, _ := s.party.Result()
	return float64(hist.Count()) * size * 8 / 1e6 / time.Since(start).Seconds(), nil
}

// farAway is where clients find a server of this network.
func (o *options) farAway(a netip.AddrPort) netip.AddrPort {
	if o.tun == nil {
		return a
	}
	return netip.AddrPortFrom(wire.Far, a.Port())
}

func lossTable(o *options, reports []*report) error {
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(o.out, "%d players, %g requests a second each, %d bytes up and %d down, %v each way; latency of the answer in ms; bytes on the wire, and the server's CPU, for each\n\n",
		o.Sessions, o.Rate, o.Config.Size, o.Config.Answer, o.delay)
	fmt.Fprintln(w, "loss %\tserver\tp50\tp90\tp99\tp99.9\tlongest\tunanswered\tbytes up\tand down\tCPU us\tbulk Mbit/s\terrors\t")
	for _, r := range reports {
		p99, bulk := fmt.Sprintf("%.1f", r.P99/1e3), fmt.Sprintf("%.1f", r.Bulk)
		if r.Runs > 1 {
			p99 += fmt.Sprintf(" [%.0f - %.0f]", r.Lowest.P99/1e3, r.Highest.P99/1e3)
			bulk += fmt.Sprintf(" [%.0f - %.0f]", r.Lowest.Bulk, r.Highest.Bulk)
		}
		fmt.Fprintf(w, "%g\t%s\t%.1f\t%.1f\t%s\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%d\t\n", r.Loss, r.Server, r.P50/1e3, r.P90/1e3, p99,
			r.P999/1e3, r.Longest/1e3, r.Unanswered, r.UpBytes, r.DownBytes, r.ServerCPUPerMsg, bulk, r.Errors.Sum())
	}
	return w.Flush()
}
