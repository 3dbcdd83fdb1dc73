// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"github.com/lifeline-go/lifeline/bench/load"
)

func (o *options) connectFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 10_000, "how many players come")
	fs.IntVar(&o.runs, "runs", 3, "runs, each with a server of its own")
	fs.StringVar(&o.Cookies, "cookies", "", "whom a server of sealed KCP asks for a cookie: all, or none; empty: all from the second on in which 200 came, as by default")
	o.coreFlags(fs)
}

// connect opens sessions as fast as it goes.
func connect(o *options) error {
	if err := o.share(); err != nil {
		return err
	}
	return o.alone(func(p peer, r *report) (figures, load.Counts, error) { return o.connectOnce(p) })
}

// alone runs a scenario of lifeline without anybody beside it.
func (o *options) alone(once func(peer, *report) (figures, load.Counts, error)) error {
	p := peer{"lifeline", o.Config}
	r := o.report(p)
	if err := o.inTurn([]*report{r}, func(int) (figures, load.Counts, error) { return once(p, r) }); err != nil {
		return err
	}
	if o.json {
		return writeJSON(o.out, r)
	}
	return table(o.out, r)
}

// printLines writes a report that is of one run, as it was asked for: a line a figure.
func (o *options) printLines(r any) error {
	if o.json {
		return writeJSON(o.out, r)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	b = bytes.ReplaceAll(bytes.ReplaceAll(bytes.Trim(b, "{}\n"), []byte(`"`), nil), []byte(","), nil)
	_, err = fmt.Fprintf(o.out, "%s\n", b)
	return err
}

func (o *options) connectOnce(p peer) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	to, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	st, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	hist, errs := s.fleet.Result()
	f = s.times(hist, s.before, to)
	n := float64(o.Sessions)
	f.LinksPerSec = n / s.ramp.Seconds()
	f.CPUPerLink = float64((to.server - s.before.server).Microseconds()) / n
	logins := s.fleet.Openings()
	f.LoginP50, f.LoginP99 = ms(logins.Quantile(0.5)), ms(logins.Quantile(0.99))
	f.LinksPerCore = 1e6 / f.CPUPerLink
	f.DatagramsInLink = float64(st.Stats.Transport.DatagramsIn) / n
	f.CookiesPerLink = float64(st.Stats.Transport.Handshakes.Cookies) / n
	return f, errs, nil
}
