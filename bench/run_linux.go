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
	"strconv"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/bench/link/wire"
	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/bench/server"
)

// command is what bench can be told to do.
type command struct {
	name  string
	does  string // nothing: bench tells it itself
	flags func(*options, *flag.FlagSet)
	run   func(*options) error
}

func commands() []command {
	return []command{
		{"echo", "players ask and are answered, as fast as it goes", (*options).echoFlags, echo},
		{"curve", "latency and cost at every load, beside others", (*options).curveFlags, curve},
		{"idle", "players are there and do nothing but heartbeats", (*options).idleFlags, idle},
		{"connect", "players come, as fast as it goes", (*options).connectFlags, connect},
		{"storm", "all links are cut at once, and all players come back", (*options).stormFlags, storm},
		{"broadcast", "a room sends to all of its members at every tick", (*options).broadcastFlags, broadcast},
		{"mixed", "a game: requests, broadcasts and lost links", (*options).mixedFlags, mixed},
		{"overload", "more is asked for than the server can do", (*options).overloadFlags, overload},
		{"loss", "game traffic and bulk over a bad network", (*options).lossFlags, loss},
		{"detect", "players die, and the server finds out", (*options).detectFlags, detect},
		{"sessions", "the session layer alone, without a network", (*options).sessionsFlags, sessions},
		{"match", "tickets come to the matchmaking alone, without a network", (*options).matchFlags, matches},
		{"cluster local", "what it costs a server to be one of many", (*options).clusterLocalFlags, clusterLocal},
		{"cluster login", "what a login costs more there", (*options).clusterLoginFlags, clusterLogin},
		{"cluster push", "messages to users of another server, beside those of the same", (*options).clusterPushFlags, clusterPush},
		{"cluster move", "players join rooms of other servers", (*options).clusterMoveFlags, clusterMove},
		{"cluster fan", "a broadcast to the players of three servers, beside one with as many", (*options).clusterFanFlags, clusterFan},
		{"cluster rooms", "three servers with rooms that count are restarted in turn", (*options).clusterRoomsFlags, clusterRooms},
		{"cluster directory", "the directory with many entries: look-ups, memory", (*options).clusterDirectoryFlags, clusterDirectory},
		{"cluster node", "what a server costs at rest, alone and with NATS in its process", (*options).clusterNodeFlags, clusterNode},
		{"cluster resume", "players come back to the wrong one of two servers", (*options).clusterResumeFlags, clusterResume},
		{"cluster restart", "three servers are restarted in turn, under traffic", (*options).clusterRestartFlags, clusterRestart},
		{"cluster kill", "one of three servers is killed", (*options).clusterKillFlags, clusterKill},
		{"cluster pause", "the directory of three servers stops for a while", (*options).clusterPauseFlags, clusterPause},
		{"all", "all of it, and a report as one HTML file", (*options).allFlags, all},
		{"smoke", "small sizes whose ratios must hold: for CI", nil, smoke},
		{"players", "", (*options).playersFlags, players},
	}
}

func usage() error {
	for _, c := range commands() {
		if c.does != "" {
			fmt.Fprintf(os.Stderr, "bench %-15s %s\n", c.name, c.does)
		}
	}
	fmt.Fprintln(os.Stderr, "\nbench echo -h and so on list the flags.")
	return errors.New("which command?")
}

// profiles are the files for what the server's last run was like; empty: none.
type profiles struct{ cpu, heap, mutex, block string }

// options is the command line.
type options struct {
	command command
	line    string // the command as it was given
	load.Config
	server.Options // what else the server is told

	duration, warmup, settle, ramp time.Duration

	runs                   int
	cuts                   float64 // percent of the links in each second
	lossy, delay           time.Duration
	losses                 string
	rates                  string        // of curve, and of idle beside others
	bus                    string        // of the courses of cluster
	each                   float64       // requests, and messages, a second of each player
	stopped                time.Duration // the directory
	moves                  float64       // joins a second of rooms of other servers
	moving                 time.Duration // how long there are such
	rooms                  int           // of all servers
	lookups                int           // of cluster directory
	leaseOnly              bool          // servers can't see that another one's process has ended
	overload               float64
	page, only             string // where all writes its report, and which steps of it
	quick                  bool
	tun                    *wire.Tun // the network, if it is a bad one
	versus                 string
	programs               map[string]string // of others, by their folder, once they are built
	json                   bool
	serverCore, clientCore int
	profiles
	clientProfile string
	out, log      io.Writer
}

func run(args []string) error {
	if len(args) == 0 {
		return usage()
	}
	if args[0] == "serve" { // the process of a server
		return server.Main(args[1:], nil)
	}
	name, args := args[0], args[1:]
	if name == "cluster" && len(args) > 0 { // has courses of its own
		name, args = name+" "+args[0], args[1:]
	}
	o, err := parse(name, args)
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
	return o.command.run(o)
}

var carriers = []string{"plain-kcp", "kcp", "tcp", "stcp", "ws"}

func parse(name string, args []string) (*options, error) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return nil, usage()
	}
	o := &options{command: all[i], line: strings.Join(append([]string{name}, args...), " "), out: os.Stdout, log: os.Stderr, serverCore: -1, clientCore: -1}
	fs := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	fs.StringVar(&o.Config.Carrier, "carrier", "plain-kcp", "plain-kcp, kcp (sealed), tcp, stcp (sealed) or ws (WebSocket)")
	fs.IntVar(&o.Sockets, "sockets", 0, "UDP sockets that the sessions share; 0: one for each session")
	fs.IntVar(&o.Opening, "opening", 128, "sessions that may be opening at once")
	fs.DurationVar(&o.ramp, "ramp", 2*time.Minute, "how long opening all sessions may take")
	fs.DurationVar(&o.CoalesceDelay, "coalesce", 0, "how long the server lets datagrams wait for each other; 0: its default; below: not at all")
	fs.BoolVar(&o.json, "json", false, "print JSON")
	fs.StringVar(&o.profiles.cpu, "cpuprofile", "", "write the server's CPU profile of the last run to this file")
	fs.StringVar(&o.clientProfile, "clientprofile", "", "write the players' CPU profile to this file")
	fs.StringVar(&o.profiles.heap, "memprofile", "", "write the server's heap profile of the last run to this file")
	fs.StringVar(&o.profiles.mutex, "mutexprofile", "", "write to this file what the server's goroutines waited for locks; it is slower with it")
	fs.StringVar(&o.profiles.block, "blockprofile", "", "write to this file what the server's goroutines waited for anything else than I/O; it is slower with it")
	o.Config.Size, o.Window, o.runs = 64, 1, 1
	if o.command.flags != nil {
		o.command.flags(o, fs)
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("%q is no flag", fs.Arg(0))
	case !slices.Contains(carriers, o.Config.Carrier):
		return nil, fmt.Errorf("-carrier %s: want one of %v", o.Config.Carrier, carriers)
	case o.runs < 1 || fs.Lookup("duration") != nil && o.duration <= 0:
		return nil, errors.New("-runs and -duration must be above 0")
	}
	if cores() < 2 { // both share what there is
		o.serverCore, o.clientCore = -1, -1
	}
	return o, nil
}

// coreFlags are those of scenarios that give each side a core by default.
func (o *options) coreFlags(fs *flag.FlagSet) { o.coresFlags(fs, 0, 1) }

func (o *options) coresFlags(fs *flag.FlagSet, server, client int) {
	fs.IntVar(&o.serverCore, "server-core", server, "core of the server; -1: any")
	fs.IntVar(&o.clientCore, "client-core", client, "core of the players; -1: any")
}

// numbers reads a flag with several, and none below 0.
func numbers(flag, list string) (all []float64, err error) {
	for _, text := range strings.Split(list, ",") {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0) {
			return nil, fmt.Errorf("-%s %s: %q is no number from 0", flag, list, text)
		}
		all = append(all, v)
	}
	return all, nil
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
		Machine: o.machine(),
	}
	if r.Sockets == 0 {
		r.Sockets = r.Sessions
	}
	return r
}

func (o *options) machine() machine {
	m := machine{Cores: cores(), Go: runtime.Version(), Pinned: o.serverCore >= 0}
	m.CPU, m.Kernel = proc.Machine()
	return m
}
