// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/bench/link/wire"
	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/bench/server"
)

const usage = `usage: bench echo [flags]   players ask and are answered, as fast as it goes
       bench idle [flags]   players are there and do nothing but heartbeats
       bench connect [flags]    players come, as fast as it goes
       bench storm [flags]      all links are cut at once, and all players come back
       bench broadcast [flags]  a room sends to all of its members at every tick
       bench detect [flags]     players die, and the server finds out
       bench mixed [flags]      a game: requests, broadcasts and lost links
       bench loss [flags]       game traffic and bulk over a bad network
       bench overload [flags]   more is asked for than the server can do
       bench all [flags]        all of it, and a report as one HTML file
       bench smoke              small sizes whose ratios must hold: for CI
       bench sessions [flags]   the session layer alone, without a network

bench echo -h and so on list the flags.`

// options is the command line.
type options struct {
	load.Config
	server.Options // what else the server is told

	duration, warmup, settle, ramp time.Duration

	runs                   int
	cuts                   float64 // percent of the links in each second
	lossy, delay           time.Duration
	losses                 string
	overload               float64
	page, only             string // where all writes its report, and which steps of it
	quick                  bool
	tun                    *wire.Tun // the network, if it is a bad one
	versus                 string
	program                string // bench/peers, once it is built
	json                   bool
	serverCore, clientCore int
	cpuProfile, heap       string
	clientProfile          string
	out, log               io.Writer
}

// scenarios are the commands that play against a server.
var scenarios map[string]func(*options) error

func init() {
	scenarios = map[string]func(*options) error{
		"echo": echo, "idle": idle, "storm": storm, "connect": connect, "broadcast": broadcast, "mixed": mixed, "detect": detect,
		"loss": loss, "overload": overload, "players": players, "all": all, "smoke": smoke,
	}
}

func run(args []string) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	command, args := args[0], args[1:]
	switch command {
	case "serve": // hidden: the process of a server
		return server.Main(args, nil)
	case "sessions":
		return runSessions(args, os.Stdout)
	}
	scenario := scenarios[command]
	if scenario != nil {
		o, err := parse(command, args)
		if err != nil {
			return err
		}
		if err := proc.Pin(o.clientCore); err != nil {
			return err
		}
		if o.clientProfile != "" {
			stop, err := profileSelf(o.clientProfile)
			if err != nil {
				return err
			}
			defer stop()
		}
		return scenario(o)
	}
	fmt.Fprintln(os.Stderr, usage)
	return errors.New("which command?")
}

var carriers = []string{"plain-kcp", "kcp", "tcp", "ws"}

func parse(command string, args []string) (*options, error) {
	o := &options{out: os.Stdout, log: os.Stderr, serverCore: -1, clientCore: -1}
	fs := flag.NewFlagSet("bench "+command, flag.ContinueOnError)
	fs.StringVar(&o.Config.Carrier, "carrier", "plain-kcp", "plain-kcp, kcp (sealed), tcp or ws (WebSocket)")
	fs.IntVar(&o.Sockets, "sockets", 0, "UDP sockets that the sessions share; 0: one for each session")
	fs.IntVar(&o.Opening, "opening", 128, "sessions that may be opening at once")
	fs.DurationVar(&o.ramp, "ramp", 2*time.Minute, "how long opening all sessions may take")
	fs.BoolVar(&o.json, "json", false, "print JSON")
	fs.StringVar(&o.cpuProfile, "cpuprofile", "", "write the server's CPU profile of the last run to this file")
	fs.StringVar(&o.clientProfile, "clientprofile", "", "write the players' CPU profile to this file")
	fs.StringVar(&o.heap, "memprofile", "", "write the server's heap profile of the last run to this file")
	o.Config.Size, o.Window, o.runs = 64, 1, 1
	switch command {
	case "echo":
		o.echoFlags(fs)
	case "idle":
		fs.IntVar(&o.Sessions, "sessions", 10_000, "how many players there are")
		fs.DurationVar(&o.duration, "duration", 20*time.Second, "length of the window")
		fs.DurationVar(&o.settle, "settle", 30*time.Second, "pause between the ramp and the window")
		fs.DurationVar(&o.Interval, "interval", 0, "heartbeat interval that the server dictates; 0: its default")
	case "storm":
		o.stormFlags(fs)
	case "connect":
		o.connectFlags(fs)
	case "broadcast":
		o.broadcastFlags(fs)
	case "mixed":
		o.mixedFlags(fs)
	case "detect":
		o.detectFlags(fs)
	case "loss":
		o.lossFlags(fs)
	case "overload":
		o.overloadFlags(fs)
	case "all":
		o.allFlags(fs)
	case "smoke":
		o.duration = 1
	case "players":
		o.playersFlags(fs)
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("%q is no flag", fs.Arg(0))
	case !slices.Contains(carriers, o.Config.Carrier):
		return nil, fmt.Errorf("-carrier %s: want one of %v", o.Config.Carrier, carriers)
	case o.runs < 1 || o.duration <= 0:
		return nil, errors.New("-runs and -duration must be above 0")
	}
	if cores() < 2 { // both share what there is
		o.serverCore, o.clientCore = -1, -1
	}
	return o, nil
}

// coreFlags are those of scenarios that give each side a core by default.
func (o *options) coreFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.serverCore, "server-core", 0, "core of the server; -1: any")
	fs.IntVar(&o.clientCore, "client-core", 1, "core of the players; -1: any")
}

func (o *options) echoFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 1000, "how many players there are")
	fs.IntVar(&o.Config.Size, "size", 64, "bytes of a payload")
	fs.IntVar(&o.Window, "window", 1, "requests that a session may have unanswered")
	fs.Float64Var(&o.Rate, "rate", 0, "requests a second, whether answers come or not; 0: as fast as answers come")
	fs.DurationVar(&o.Work, "work", 0, "processor time that lifeline's handler takes for a request")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "length of a window")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "load before the window")
	fs.IntVar(&o.runs, "runs", 3, "runs, each with a server of its own")
	fs.StringVar(&o.versus, "versus", "", "run other servers as well, in turn: all, or some of "+beside())
	o.coreFlags(fs)
}

// cores returns how many cores the machine has: this process sees only its own.
func cores() int {
	n, err := proc.Cores()
	if err != nil {
		return runtime.NumCPU()
	}
	return n
}

// profileSelf writes this process's CPU profile until stop is called.
func profileSelf(file string) (stop func(), err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func (o *options) report(p peer) *report {
	r := &report{
		Server: p.kind, Carrier: p.load.Carrier, Sessions: o.Sessions, Sockets: o.Sockets, Seconds: o.duration.Seconds(),
		Machine: machine{Cores: cores(), Go: runtime.Version(), Pinned: o.serverCore >= 0},
	}
	if r.Sockets == 0 {
		r.Sockets = r.Sessions
	}
	r.Machine.CPU, r.Machine.Kernel = proc.Machine()
	return r
}
