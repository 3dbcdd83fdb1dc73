// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/bench/server"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

func (o *options) detectFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 10_000, "how many players die")
	fs.DurationVar(&o.Interval, "interval", 2*time.Second, "heartbeat interval that the server dictates")
	fs.DurationVar(&o.Timeout, "timeout", 8*time.Second, "silence after which the server takes a link for dead")
	fs.DurationVar(&o.lossy, "lossy", time.Minute, "how long living players must not be taken for dead while datagrams are lost; 0: not tried")
	fs.Float64Var(&o.Loss, "loss", 0.2, "share of datagrams that are lost then")
}

// detect kills players and asks the server when it found out; then it loses
// datagrams of living ones, whom the server must not take for dead.
func detect(o *options) error {
	if err := o.share(); err != nil {
		return err
	}
	o.Game = true
	var reports []*report
	for _, how := range []struct {
		name   string
		signal syscall.Signal
	}{{"kill -9", syscall.SIGKILL}, {"silence", syscall.SIGSTOP}} {
		r := o.report(peer{how.name, o.Config})
		f, err := o.dieOnce(how.signal, r)
		if err != nil {
			return fmt.Errorf("%s: %w", how.name, err)
		}
		r.add(f, load.Counts{})
		reports = append(reports, r)
	}
	if o.lossy > 0 && o.Config.Carrier != "tcp" {
		r := o.report(peer{fmt.Sprintf("%.0f %% loss", 100*o.Loss), o.Config})
		f, errs, err := o.lossyOnce()
		if err != nil {
			return err
		}
		r.add(f, errs)
		reports = append(reports, r)
	}
	if o.json {
		return writeJSON(o.out, reports)
	}
	return table(o.out, reports...)
}

// dieOnce has players in a process of their own, which the signal ends or stops.
func (o *options) dieOnce(signal syscall.Signal, r *report) (f figures, err error) {
	srv, err := server.Start(server.Options{Kind: "lifeline", Carrier: o.Config.Carrier, Core: -1, Links: 2 * o.Sessions, Interval: o.Interval, Timeout: o.Timeout, Game: true})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	path, err := os.Executable()
	if err != nil {
		return f, err
	}
	cmd := exec.Command(path, "players", "-sessions", fmt.Sprint(o.Sessions), "-sockets", fmt.Sprint(o.Sockets),
		"-carrier", o.Config.Carrier, "-server", srv.First().Addr.String(), "-key", srv.First().Key)
	cmd.Env = append(os.Environ(), server.Child+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return f, err
	}
	if err := cmd.Start(); err != nil {
		return f, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed, and says so
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != "open" {
		return f, fmt.Errorf("the players said %q: %w", line, err)
	}
	time.Sleep(o.Interval + o.Interval/2) // their beats are spread by now
	at := proc.Monotonic()
	if err := cmd.Process.Signal(signal); err != nil {
		return f, err
	}
	var st server.Status
	for end := time.Now().Add(o.Timeout + 2*o.Interval + 10*time.Second); ; {
		time.Sleep(o.Timeout / 8)
		if st, err = srv.Do("status"); err != nil {
			return f, err
		}
		if st.Game.Detachings >= o.Sessions || time.Now().After(end) {
			break
		}
	}
	r.Curve = f.detected(st.Game.Detached, at, o).Curve()
	return f, nil
}

// wheelTick is how late a deadline may be found: session.Config.Tick's default.
const wheelTick = 250 * time.Millisecond

// detected are the figures of players that died at at. What the server promises
// counts from the last sign of life: up to 1.1 intervals earlier.
func (f *figures) detected(times []int64, at time.Duration, o *options) *chart.Histogram {
	var h chart.Histogram
	for _, t := range times {
		h.Add(time.Duration(t) - at)
	}
	if len(times) > 0 {
		f.DetectFirst = ms(time.Duration(slices.Min(times)) - at)
	}
	f.Detected = float64(len(times))
	f.PromisedFirst, f.PromisedLast = ms(o.Timeout-o.Interval*11/10), ms(o.Timeout+wheelTick)
	f.DetectP50, f.DetectLast = ms(h.Quantile(0.5)), ms(h.Max())
	return &h
}

// lossyOnce lets players live on a bad network.
func (o *options) lossyOnce() (f figures, errs load.Counts, err error) {
	clean := *o
	clean.Seed, clean.Return = 1, true
	s, err := clean.open(peer{"lifeline", clean.Config})
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	before, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	s.fleet.Idle(o.lossy)
	after, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	_, errs = s.fleet.Result()
	f.FalsePositives = float64(after.Game.Detachings - before.Game.Detachings)
	f.LossyMinutes = float64(o.Sessions) * o.lossy.Minutes()
	return f, errs, nil
}

// --- the process of players that will die

func (o *options) playersFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 1, "")
	fs.StringVar(&o.Key, "key", "", "")
	fs.TextVar(&o.Server, "server", netip.AddrPort{}, "")
}

// players opens sessions, says so and lives until it is killed, or its parent is.
func players(o *options) error {
	f, err := load.New(o.Config, func(err error) { fmt.Fprintln(o.log, "bench:", err) })
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Open(o.ramp); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(o.out, "open"); err != nil {
		return err
	}
	for parent := os.Getppid(); os.Getppid() == parent; {
		f.Idle(time.Second)
	}
	return nil
}
