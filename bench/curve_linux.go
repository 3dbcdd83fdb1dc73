// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

func (o *options) curveFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 1000, "how many players there are")
	fs.StringVar(&o.rates, "rates", "0.1,0.5,2,10,20,40,80,0", "thousands of requests a second of all players together; 0: as fast as answers come; several with commas")
	fs.StringVar(&o.versus, "servers", "lifeline/plain-kcp,lifeline/kcp,lifeline/tcp,lifeline/ws,go-tcp,udp,kcp-go,enet", "what is tried; several with commas; the others are compared with the first")
	fs.IntVar(&o.Config.Size, "size", 64, "bytes of a payload")
	fs.IntVar(&o.Backlog, "backlog", 64, "requests that a player may have unanswered: who waits for so many skips the next")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "length of a window")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "load before the window")
	fs.IntVar(&o.runs, "runs", 3, "runs of everything, each with a server of its own, in turn")
	fs.StringVar(&o.page, "report", "", "also write a page with plots to this file")
	o.coreFlags(fs)
}

// curve is echo at one rate after the other. At each the servers take turns.
func curve(o *options) error {
	rates, err := numbers("rates", o.rates)
	if err != nil {
		return err
	}
	defer o.removeBuilt()
	began := time.Now()
	o.Config.Lateness = true
	var reports []*report
	for _, rate := range rates {
		o.Config.Rate = 1000 * rate
		some, err := o.curveRate()
		if err != nil {
			return err
		}
		if reports = append(reports, some...); o.page != "" { // what there is so far can be looked at meanwhile
			if err := o.curvePage(reports, began); err != nil {
				return err
			}
		}
	}
	if o.json {
		return writeJSON(o.out, reports)
	}
	return o.curveTable(reports)
}

// curveRate tries the servers at one rate.
func (o *options) curveRate() (reports []*report, err error) {
	var peers []peer
	for _, name := range strings.Split(o.versus, ",") {
		p, err := o.named(name)
		if errors.Is(err, errLeftOut) {
			fmt.Fprintln(o.log, "bench:", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		r := o.report(p)
		r.Server, r.Size, r.Window, r.Rate = name, o.Config.Size, o.Window, o.Config.Rate
		peers, reports = append(peers, p), append(reports, r)
	}
	if len(peers) == 0 {
		return nil, errors.New("none of -servers is there")
	}
	err = o.inTurn(reports, func(i int) (figures, load.Counts, error) {
		fmt.Fprintf(o.log, "%s at %s\n", reports[i].Server, reports[i].asked())
		return o.echoOnce(peers[i], reports[i])
	})
	if err != nil {
		return nil, err
	}
	for _, r := range reports[1:] {
		r.Over = compare(reports[0], r)
	}
	return reports, nil
}

// asked is the rate in words.
func (r *report) asked() string {
	if r.Rate == 0 {
		return "saturation"
	}
	return fmt.Sprintf("%g a second", r.Rate)
}

// curvePage writes the page of all, with this alone.
func (o *options) curvePage(reports []*report, began time.Time) error {
	raw, err := json.Marshal(reports)
	if err != nil {
		return err
	}
	s := step{Name: "curve", Command: commandLine(o.line), Seconds: round(time.Since(began).Seconds()), Result: raw}
	return writePage(o.page, []step{s}, began)
}

func (o *options) curveTable(reports []*report) error {
	m := reports[0].Machine
	fmt.Fprintf(o.out, "%d players, %d bytes; %d runs of %v; median, of CPU and p99 [lowest - highest]; latency in ms, as players see it, and without their own part:\n"+
		"written late, read late; apart is from written to arrived. %s, %d cores, Linux %s, %s\n\n", o.Sessions, o.Config.Size, o.runs, o.duration, m.CPU, m.Cores, m.Kernel, m.Go)
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "asked\tserver\tanswered/s\tCPU us\tfirst / it\tp50\tp99\tp99.9\tapart p50\tp99\tp99.9\twritten late p50\tp99\tread late p50\tp99\tserver %\tplayers %\terrors\t")
	for i, r := range reports {
		if i > 0 && r.Rate != reports[i-1].Rate {
			fmt.Fprintln(w, strings.Repeat("\t", 18))
		}
		ranged := func(mid, lo, hi float64) string {
			if r.Runs == 1 {
				return chart.Short(mid)
			}
			return spread{mid, lo, hi}.String()
		}
		over := ""
		if r.Over != nil {
			over = fmt.Sprintf("%.2f", r.Over.ServerCPUPerMsg.Median)
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%s\t%s\t%.3f\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.0f\t%.0f\t%d\t\n", r.asked(), r.Server, r.MessagesPerSecond,
			ranged(r.ServerCPUPerMsg, r.Lowest.ServerCPUPerMsg, r.Highest.ServerCPUPerMsg), over,
			r.P50/1e3, ranged(r.P99/1e3, r.Lowest.P99/1e3, r.Highest.P99/1e3), r.P999/1e3, r.ApartP50/1e3, r.ApartP99/1e3, r.ApartP999/1e3,
			r.WriteLateP50/1e3, r.WriteLateP99/1e3, r.ReadLateP50/1e3, r.ReadLateP99/1e3, r.ServerCPU, r.ClientCPU, r.Errors.Sum())
	}
	return w.Flush()
}
