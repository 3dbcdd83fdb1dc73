// SPDX-License-Identifier: MIT

package swarm

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Main is a command that lets bots play. Flags change what cfg says; a program may define flags of
// its own, of package flag, before. It ends the process: with status 0 if every limit was kept, 1 if
// one was not or no bot got in, 2 if the command can't work. An interrupt ends the play, and there is
// a report of what was; a second one ends the process.
func Main(cfg Config, play Play) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one is the system's
	os.Exit(command(ctx, flag.CommandLine, os.Args[1:], os.Stdout, os.Stderr, cfg, play))
}

// texts is a flag that may be given several times.
type texts struct{ list *[]string }

func (t texts) String() string { return "" }

func (t texts) Set(s string) error {
	*t.list = append(*t.list, s)
	return nil
}

// command is Main without the process.
func command(ctx context.Context, flags *flag.FlagSet, args []string, stdout, stderr io.Writer, cfg Config, play Play) int {
	addr := flags.String("addr", strings.Join(cfg.Addrs, ","), "`address` of the server; several, separated by commas, are tried in order")
	flags.BoolVar(&cfg.Spread, "spread", cfg.Spread, "begin with another address for each bot, so that every carrier has its share")
	flags.StringVar(&cfg.ServerKey, "key", cfg.ServerKey, "the server's public `key`, for kcp:// and stcp://; the server logs it")
	flags.IntVar(&cfg.Bots, "n", cfg.Bots, "how many bots; 0: 100")
	flags.DurationVar(&cfg.Ramp, "ramp", cfg.Ramp, "`time` over which they start; 0: 1 ms for each")
	flags.DurationVar(&cfg.Duration, "duration", cfg.Duration, "how long they play once all have started; 0: until an interrupt")
	flags.DurationVar(&cfg.Cut, "cut", cfg.Cut, "how often each bot's link is cut; 0: never")
	flags.DurationVar(&cfg.Rebind, "rebind", cfg.Rebind, "how often each bot's local address changes, on kcp://; 0: never")
	flags.StringVar(&cfg.Name, "name", cfg.Name, "the bots are called `name`-1, name-2 and so on")
	flags.Var(texts{&cfg.Limits}, "limit", "a `limit` that must be kept, as \"move p99 < 50ms\" or \"resets = 0\"; may be given again")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	page := flags.String("report", "", "write the report to this HTML `file`")
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 { // what follows it would not be read, limits and all
		fmt.Fprintf(stderr, "swarm: %q is no flag: a text of several words needs quotes, and a switch takes its value as in -json=false\n", flags.Arg(0))
		return 2
	}
	if *addr != "" {
		cfg.Addrs = strings.Split(*addr, ",")
	}
	if cfg.Progress == nil {
		cfg.Progress = progress(stderr)
	}
	r, err := Run(ctx, cfg, play)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if *asJSON {
		_ = json.NewEncoder(stdout).Encode(r)
	} else {
		_ = r.WriteText(stdout)
	}
	if *page != "" {
		if err := writePage(r, *page); err != nil { // what was measured has been told
			fmt.Fprintln(stderr, err)
			return 2
		}
	}
	if !r.Good() {
		return 1
	}
	return 0
}

func writePage(r *Report, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteHTML(f), f.Close())
}

// plainEvery is how many seconds pass between two lines where they can't be overwritten.
const plainEvery = 5

// progress tells how it goes: on a terminal in one line that is written anew, else in a line now and
// then.
func progress(out io.Writer) func(Sample) {
	terminal, n := false, 0
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return func(s Sample) {
		line := fmt.Sprintf("%4.0f s  %d bots, %d with a link  %d/s  p50 %s ms  p99 %s ms  %d errors  %d lost  %d resumed  %d reset",
			s.At, s.Playing, s.Connected, s.Requests, chart.Short(s.P50), chart.Short(s.P99), s.Errors, s.Losses, s.Resumes, s.Resets)
		if s.Memory > 0 {
			line += fmt.Sprintf("  %d MB  %.0f %% cpu", s.Memory/1_000_000, s.CPU)
		}
		switch n++; {
		case terminal:
			fmt.Fprintf(out, "\r\x1b[K%s", line)
			if s.last {
				fmt.Fprintln(out)
			}
		case n%plainEvery == 0 || s.last:
			fmt.Fprintln(out, line)
		}
	}
}
