// SPDX-License-Identifier: MIT

// Command conform holds a client against the rules of the protocol. It plays the
// scripts of session/testdata/scripts to it, and prints the first difference
// with the rule that it breaks. README.md has what a program has to do for that.
//
//	go run ./framework/conform core -- node adapter.js
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
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
`

func main() { os.Exit(run(os.Args[1:])) }

// options are the flags of all modes.
type options struct {
	scripts  string
	only     string
	patience time.Duration
	command  []string
}

func run(args []string) int {
	if len(args) == 0 || args[0] != "core" {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	o, err := parse(args[0], args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	scripts, err := o.read()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	return core(o, scripts)
}

func parse(mode string, args []string) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("conform "+mode, flag.ContinueOnError)
	f.StringVar(&o.scripts, "scripts", "session/testdata/scripts", "`folder` of the scripts")
	f.StringVar(&o.only, "only", "", "`names` of the scripts to play, separated by commas; empty: all")
	f.DurationVar(&o.patience, "patience", 10*time.Second, "how long a program may take to answer")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if o.command = f.Args(); len(o.command) == 0 {
		return nil, errors.New("conform: no command to run: see -h")
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

func summary(played, failed int) int {
	fmt.Printf("%d of %d scripts as they should be\n", played-failed, played)
	if failed > 0 {
		return exitDifference
	}
	return exitFine
}
