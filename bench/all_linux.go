// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/bench/server"
)

func (o *options) allFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.page, "report", "report.html", "the file to write")
	fs.StringVar(&o.only, "only", "", "run the steps whose command begins so, and leave the others in the report as they are; several with commas")
	fs.BoolVar(&o.quick, "quick", false, "small sizes: whether it works, not how well")
}

// step is one command of the whole, and what it printed.
type step struct {
	Name    string          `json:"name"`
	Command string          `json:"command"`
	Seconds float64         `json:"seconds"`
	Error   string          `json:"error,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
}

// plan is what all runs: name, then the arguments. quick ones take seconds.
func plan(quick bool) [][2]string {
	if quick {
		const unpinned = " -server-core -1 -client-core -1"
		return [][2]string{
			{"echo", "echo -sessions 50 -duration 500ms -warmup 100ms -runs 1 -versus all" + unpinned},
			{"tcp", "echo -carrier tcp -sessions 50 -duration 500ms -warmup 100ms -runs 1 -versus all" + unpinned},
			{"ws", "echo -carrier ws -sessions 50 -duration 500ms -warmup 100ms -runs 1 -versus all" + unpinned},
			{"sealed", "echo -carrier kcp -sessions 50 -duration 500ms -warmup 100ms -runs 1 -versus plain-kcp" + unpinned},
			{"scale", "echo -sessions 100 -duration 500ms -warmup 100ms -runs 1" + unpinned},
			{"curve", "curve -rates 0.5,0 -servers lifeline/plain-kcp,lifeline/tcp,udp,enet -sessions 50 -duration 500ms -warmup 100ms -runs 1" + unpinned},
			{"idle", "idle -sessions 200 -duration 500ms -settle 100ms"},
			{"idle", "idle -sessions 400 -duration 500ms -settle 100ms"},
			{"connect", "connect -sessions 200 -runs 1" + unpinned},
			{"storm", "storm -sessions 200 -warmup 300ms"},
			{"broadcast", "broadcast -members 50 -duration 500ms -warmup 200ms -runs 1" + unpinned},
			{"mixed", "mixed -sessions 50 -duration 1s -warmup 300ms -runs 1" + unpinned},
			{"overload", "overload -sessions 50 -duration 500ms -warmup 200ms -runs 1" + unpinned},
			{"loss", "loss -sessions 5 -loss 0,5 -runs 1 -duration 1s -warmup 200ms -bulk 300ms"},
			{"detect", "detect -sessions 50 -interval 500ms -timeout 2500ms -lossy 1s"},
			{"cluster", "cluster local -sessions 50 -duration 500ms -warmup 100ms -runs 1" + unpinned},
			{"login", "cluster login -sessions 100 -runs 1" + unpinned},
			{"push", "cluster push -sessions 20 -rate 300 -duration 500ms -warmup 100ms -runs 1"},
			{"node", "cluster node -sessions 50 -duration 500ms -settle 200ms"},
			{"outage", "cluster resume -sessions 50 -settle 500ms -cuts 50"},
			{"outage", "cluster restart -sessions 50 -settle 300ms -drain 500ms"},
			{"outage", "cluster kill -sessions 50 -settle 300ms"},
			{"outage", "cluster pause -sessions 50 -settle 300ms -stop 1s"},
		}
	}
	return [][2]string{
		{"echo", "echo -sessions 1000 -duration 4s -versus all"},
		{"tcp", "echo -carrier tcp -sessions 1000 -duration 4s -versus all"},
		{"ws", "echo -carrier ws -sessions 1000 -duration 4s -versus all"},
		{"sealed", "echo -carrier kcp -sessions 1000 -duration 4s -versus all"},
		{"scale", "echo -sessions 100 -duration 4s -runs 2"},
		{"scale", "echo -sessions 5000 -duration 4s -runs 2 -versus kcp-go,zinx-kcp"},
		{"scale", "echo -sessions 19000 -duration 4s -runs 2"},
		{"curve", "curve -duration 3s -runs 1"},
		{"idle", "idle -versus go-tcp -settle 10s -duration 20s"},
		{"idle", "idle -sessions 1000 -settle 10s -duration 20s"},
		{"idle", "idle -sessions 10000 -settle 10s -duration 20s"},
		{"idle", "idle -sessions 50000 -settle 30s -duration 30s"},
		{"idle", "idle -carrier kcp -sessions 200000 -settle 60s -duration 30s -ramp 5m"},
		{"connect", "connect"},
		{"connect", "connect -carrier kcp -cookies none"},
		{"connect", "connect -carrier kcp -cookies all"},
		{"storm", "storm -sessions 50000"},
		{"storm", "storm -carrier kcp -sessions 50000"},
		{"broadcast", "broadcast"},
		{"mixed", "mixed"},
		{"overload", "overload"},
		{"loss", "loss -loss 0,1,5 -runs 1 -duration 5s -bulk 2s -servers lifeline/kcp,lifeline/tcp,kcp-go,quic-go,go-tcp"},
		{"loss", "loss -loss 10,20 -runs 1 -duration 5s -bulk 2s -servers lifeline/kcp,lifeline/tcp,kcp-go,quic-go,go-tcp"},
		{"detect", "detect -lossy 100s"},
		{"cluster", "cluster local"},
		{"login", "cluster login"},
		{"push", "cluster push"},
		{"push", "cluster push -rate 20000 -versus pitaya"},
		{"node", "cluster node"},
		{"outage", "cluster resume"},
		{"outage", "cluster restart -each 10"},
		{"outage", "cluster restart -carrier kcp -each 10"},
		{"outage", "cluster kill"},
		{"outage", "cluster kill -lease-only"},
		{"outage", "cluster pause"},
	}
}

// all runs every scenario as a command of its own and writes a report.
func all(o *options) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	var only []string
	had := map[string]step{} // by command
	if o.only != "" {
		only = strings.Split(o.only, ",")
		if had, err = readPage(o.page); err != nil {
			return err
		}
	}
	var steps []step
	var failed error
	todo := plan(o.quick)
	began := time.Now()
	for i, p := range todo {
		name, args := p[0], p[1]
		if only != nil && !slices.ContainsFunc(only, func(begin string) bool { return strings.HasPrefix(args, begin) }) {
			if s, ok := had[commandLine(args)]; ok {
				steps = append(steps, s)
			}
			continue
		}
		fmt.Fprintf(o.log, "[%d/%d] %5.0f s  bench %s\n", i+1, len(todo), time.Since(began).Seconds(), args)
		s := runStep(path, name, args)
		steps = append(steps, s)
		if s.Error != "" {
			fmt.Fprintln(o.log, "        failed:", s.Error)
			failed = errors.Join(failed, fmt.Errorf("%s: %s", s.Command, s.Error))
		}
		// What there is so far can be looked at meanwhile.
		if err := writePage(o.page, steps, began); err != nil {
			return err
		}
	}
	// Those that -only left as they are may come after the last that ran.
	if err := writePage(o.page, steps, began); err != nil {
		return err
	}
	fmt.Fprintf(o.log, "%s is written, after %.0f s\n", o.page, time.Since(began).Seconds())
	return failed
}

// commandLine is how a step can be run by hand.
func commandLine(args string) string { return "go run ./bench " + args + " -json" }

func runStep(path, name, args string) step {
	s := step{Name: name, Command: commandLine(args)}
	cmd := exec.Command(path, append(strings.Fields(args), "-json")...)
	cmd.Env = append(os.Environ(), server.Child+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	s.Seconds = round(time.Since(start).Seconds())
	if err != nil {
		text := strings.TrimSpace(errs.String())
		s.Error = fmt.Sprintf("%v: %s", err, text[max(len(text)-500, 0):])
		return s
	}
	s.Result = json.RawMessage(bytes.TrimSpace(out.Bytes()))
	return s
}
