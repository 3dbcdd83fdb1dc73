// SPDX-License-Identifier: MIT

// Command conform holds a client against the rules of the protocol. It plays the
// scripts of session/testdata/scripts to it, and prints the first difference
// with the rule that it breaks. README.md has what a program has to do for that.
//
//	go run ./framework/conform core -- node adapter.mjs
//	go run ./framework/conform client -carrier ws -- node player.mjs
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// The exit status.
const (
	exitFine       = 0
	exitDifference = 1 // with a rule
	exitUsage      = 2 // the command line, or the scripts
	exitBroken     = 3 // the program did not start, ended, or did not answer
)

const usage = `usage:
	conform core [flags] -- COMMAND...     plays the scripts to a client without sockets
	conform client [flags] -- COMMAND...   plays the scripts to a client over sockets
	conform server [flags] ADDRESS         does to a server what no client should
`

func main() { os.Exit(run(os.Args[1:])) }

// options are the flags of all modes.
type options struct {
	scripts  string
	only     string
	patience time.Duration
	verbose  bool
	command  []string

	carrier  string        // from here on: of client
	speed    int           // of the client's clock
	slop     time.Duration // how far from its time something may happen
	reaction time.Duration // how long what has no time may take
	settle   time.Duration // after what should bring about nothing
	longest  time.Duration // that a script may take, in its own time
	at       int           // scripts at once

	ticket string // of server: what those of all logins begin with
}

func run(args []string) int {
	modes := map[string]func(*options, []script) int{"core": core, "client": client}
	if len(args) == 0 || modes[args[0]] == nil && args[0] != "server" {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	o, err := parse(args[0], args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	if args[0] == "server" {
		return server(o)
	}
	scripts, err := o.read()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	return modes[args[0]](o, scripts)
}

func parse(mode string, args []string) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("conform "+mode, flag.ContinueOnError)
	if mode == "server" {
		f.StringVar(&o.ticket, "ticket", "conform-", "what each login's ticket begins with; a number follows")
		f.DurationVar(&o.reaction, "reaction", 2*time.Second, "how long something that is due at once may take")
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if o.command = f.Args(); len(o.command) != 1 {
			return nil, errors.New("conform: which server? As in tcp://127.0.0.1:7777")
		}
		if a := o.command[0]; !strings.HasPrefix(a, "tcp://") && !strings.HasPrefix(a, "ws://") {
			return nil, fmt.Errorf("conform: address %q: a hostile client speaks tcp:// and ws://", a)
		}
		return o, nil
	}
	f.StringVar(&o.scripts, "scripts", "session/testdata/scripts", "`folder` of the scripts")
	f.StringVar(&o.only, "only", "", "`names` of the scripts to play, separated by commas; empty: all")
	f.DurationVar(&o.patience, "patience", 10*time.Second, "how long a program may take to answer")
	if mode == "client" {
		f.StringVar(&o.carrier, "carrier", "tcp", "`carrier` to play on: tcp, stcp, ws, plain-kcp or kcp")
		f.IntVar(&o.speed, "speed", 10, "how many times faster than ours the client's clock goes")
		f.DurationVar(&o.slop, "slop", 150*time.Millisecond, "how far from its time something may happen, by our clock")
		f.DurationVar(&o.reaction, "reaction", 2*time.Second, "how long something that is due at once may take, by our clock")
		f.DurationVar(&o.settle, "settle", 20*time.Millisecond, "how long the client has for what should bring about nothing")
		f.DurationVar(&o.longest, "longest", 4*time.Minute, "how much time a script may let pass, by its own clock; what takes longer is played in part")
		f.IntVar(&o.at, "at-once", 6, "how many scripts are played at once")
		f.BoolVar(&o.verbose, "v", false, "tell of each script how far it was played")
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if o.command = f.Args(); len(o.command) == 0 {
		return nil, errors.New("conform: no command to run: see -h")
	}
	if _, ok := carriers[o.carrier]; mode == "client" && (!ok || o.speed < 1 || o.at < 1) {
		return nil, fmt.Errorf("conform: carrier %q, speed %d or at-once %d is none", o.carrier, o.speed, o.at)
	}
	return o, nil
}

// read returns the scripts that are to be played.
func (o *options) read() ([]script, error) {
	all, err := readScripts(os.DirFS(o.scripts))
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("conform: no scripts in %s: run it from the top of the repository, or say -scripts", o.scripts)
	}
	if o.only == "" {
		return all, nil
	}
	var some []script
	for name := range strings.SplitSeq(o.only, ",") {
		found := false
		for _, sc := range all {
			if sc.name == name {
				some, found = append(some, sc), true
			}
		}
		if !found {
			return nil, fmt.Errorf("conform: no script %q in %s", name, o.scripts)
		}
	}
	return some, nil
}

// core plays scripts to a program that is a client without sockets.
func core(o *options, scripts []script) int {
	p, err := start(o.command)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conform:", err)
		return exitBroken
	}
	defer p.stop()
	c := &coreProcess{p, o.patience}
	failed := 0
	for i := range scripts {
		d, err := play(&scripts[i], c)
		if err != nil {
			fmt.Fprintln(os.Stderr, "conform:", err)
			return exitBroken
		}
		if d != nil {
			failed++
			fmt.Println(d)
		}
	}
	return summary(len(scripts), failed)
}

// result is how a script went.
type result struct {
	d       *difference
	partial string
	err     error
}

// client plays scripts to a program that is a client with sockets.
func client(o *options, scripts []script) int {
	results := make([]result, len(scripts))
	var wg sync.WaitGroup
	free := make(chan struct{}, o.at)
	for i := range scripts {
		free <- struct{}{}
		wg.Go(func() {
			r := &results[i]
			r.d, r.partial, r.err = playStage(o, &scripts[i])
			<-free
		})
	}
	wg.Wait()
	failed, partly := 0, 0
	for i := range results {
		r := &results[i]
		if r.d != nil || r.err != nil { // the machine may have been busy: it counts if it happens when nothing else does
			r.d, r.partial, r.err = playStage(o, &scripts[i])
		}
		switch {
		case r.err != nil:
			fmt.Fprintln(os.Stderr, "conform:", r.err)
			return exitBroken
		case r.d != nil:
			failed++
			fmt.Println(r.d)
		case r.partial != "":
			partly++
			if o.verbose {
				fmt.Printf("%s: in part, as far as %s\n", scripts[i].name, r.partial)
			}
		case o.verbose:
			fmt.Printf("%s: played\n", scripts[i].name)
		}
	}
	fmt.Printf("%s: %d scripts were played to their end, %d in part\n", o.carrier, len(scripts)-failed-partly, partly)
	return summary(len(scripts), failed)
}

func summary(played, failed int) int {
	fmt.Printf("%d of %d scripts as they should be\n", played-failed, played)
	if failed > 0 {
		return exitDifference
	}
	return exitFine
}
