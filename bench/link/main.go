// SPDX-License-Identifier: MIT

// Command link is a bad network in user space: delay, jitter, loss,
// duplication, reordering and a rate, repeatable by a seed. It needs neither the
// kernel's netem nor, for datagrams, any privilege. See -h.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/lifeline-go/lifeline/bench/link/path"
)

const usage = `usage: link [flags] -udp LISTEN=SERVER    a proxy for datagrams
       link [flags] -- COMMAND [ARGS]     Linux: a network for a command

With -udp, clients that send to LISTEN reach SERVER through the bad network, for
example -loss 5 -udp 127.0.0.1:9000=127.0.0.1:7777. Interrupt ends it.

With a command, that command and what it starts get a network namespace of their
own, in which everything over IPv4 crosses the bad network: servers listen on
10.77.0.3, clients dial 10.77.0.4 with the server's port. So real TCP can be
tried as well. The namespace ends with the command. Root is not needed where the
system allows user namespaces.

All figures are for each direction.

`

func main() {
	if err := run(os.Args[1:]); err != nil && err != flag.ErrHelp {
		fmt.Fprintln(os.Stderr, "link:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var (
		cfg                  path.Config
		loss, twice, reorder float64
		rate                 float64
		udp                  string
	)
	fs := flag.NewFlagSet("link", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), usage)
		fs.PrintDefaults()
	}
	fs.DurationVar(&cfg.Delay, "delay", 0, "what each packet takes")
	fs.DurationVar(&cfg.Jitter, "jitter", 0, "what it takes more at most; keeps the order")
	fs.Float64Var(&loss, "loss", 0, "percent of the packets that are lost")
	fs.Float64Var(&twice, "duplicate", 0, "percent that arrive twice")
	fs.Float64Var(&reorder, "reorder", 0, "percent that are held back and overtaken")
	fs.DurationVar(&cfg.Hold, "hold", 10*time.Millisecond, "how long those are held back")
	fs.Float64Var(&rate, "rate", 0, "Mbit/s; 0: no limit")
	fs.DurationVar(&cfg.Queue, "queue", 100*time.Millisecond, "how long a packet may wait for its turn at that rate before it is lost")
	fs.Uint64Var(&cfg.Seed, "seed", 1, "of the lottery")
	fs.StringVar(&udp, "udp", "", "`LISTEN=SERVER`: forward datagrams")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg.Loss, cfg.Duplicate, cfg.Reorder, cfg.Rate = loss/100, twice/100, reorder/100, rate*1e6
	if err := cfg.Check(); err != nil {
		return err
	}
	switch {
	case udp != "" && fs.NArg() == 0:
		return forward(udp, cfg)
	case udp == "" && fs.NArg() > 0:
		return around(fs.Args(), cfg)
	}
	fs.Usage()
	return flag.ErrHelp
}
