// SPDX-License-Identifier: MIT

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/framework"
)

// Options is what a server is told when it starts.
type Options struct {
	Kind    string // "lifeline", "kcp-go", "udp" or "go-tcp", or one of Program's
	Carrier string // of lifeline
	Core    int    // it runs on; negative: on any
	Links   int    // it must have room for
	Program string // that has this kind; if empty, the one that starts it
	Host    string // if empty, 127.0.0.1
	Answer  int    // bytes of an answer; 0: as many as the request has
	Ask     int    // bytes of a request, where Answer says otherwise

	// The rest is lifeline's alone.
	Game              bool          // it has hooks and counts numbers: see Game
	Interval, Timeout time.Duration // of heartbeats, if not zero
	CoalesceDelay     time.Duration // framework.Config.CoalesceDelay
	Cookies           string        // "all" are asked for one, or "none"; empty: its default
	Work              time.Duration // that the handler of "echo" takes
	Pushes            float64       // numbered messages a second to all players together
	Room              float64       // ticks a second of the one room that everybody is in
	Fan               bool          // a group of all players at all servers is sent numbered messages, which cost one order: see broadcaster
	Halls             bool          // players may enter rooms of the type HallType, by any key
	Beats             float64       // ticks a second of these
	HallLedger        string        // the file with what all servers know of these: see hallPage
	Size              int           // bytes of a push or of a tick's message

	Users      bool          // players log in by name: see load.UserIndex
	Cluster    string        // it is one of many, joined by: "memory", "nats" in its process, or the address of a directory
	Listen     string        // where it is; if empty, at any port
	Ledger     string        // the file with what all servers know of each player: see ledger
	PushEach   float64       // numbered messages a second to each player
	Drain      time.Duration // framework.Drain.Window
	KeyFile    string        // of kcp and stcp, which all servers share; if empty, one of its own
	SendTo     int           // users that it sends numbered messages to by their names, wherever they are: see sender
	SendWindow int           // of these, those to one user that have not arrived yet

	Peers []string // the NATS servers of all servers, if each has one; Cluster is "nats" then
	Peer  string   // its own
	Node  uint16   // the number of the server; if zero, the smallest that is free

	push func(user int, m load.Push) error // see SendBy
	Dir  string                            // where the servers of one machine see which of them have ended; if empty, they can't
}

func (o *Options) args() []string {
	b, _ := json.Marshal(o) // it has nothing that can't be
	return []string{"serve", string(b)}
}

// Status is what a server answers to every command.
type Status struct {
	Key        string // the public one of sealed KCP
	Addr       netip.AddrPort
	Mallocs    uint64
	HeapAlloc  uint64
	StackInuse uint64
	Goroutines int
	Stats      framework.Stats
	Game       Game
	Sent       Sent
	Error      string
}

// service is a server that runs.
type service struct {
	key   string // that clients of sealed KCP must know
	addr  netip.AddrPort
	stats func() framework.Stats // nil: it keeps none
	game  *game                  // nil: it knows no numbers
	drain func() error           // nil: it can't
	send  *sender                // nil: it sends to no users
	stop  func()
}

var kinds = map[string]func(*Options) (*service, error){
	"lifeline": startLifeline, "kcp-go": startKCPGo, "udp": startUDP, "go-tcp": startGoTCP,
	"directory": startDirectory,
}

// Starter starts a server of another kind. It returns where it is and how to
// stop it.
type Starter func(*Options) (netip.AddrPort, func(), error)

// ZinxMessage is the number of the message that zinx servers echo.
const ZinxMessage = 1

// Main is the process of a server: it serves until its input ends. more are
// kinds that this package knows nothing of.
func Main(args []string, more map[string]Starter) error {
	var o Options
	if len(args) != 1 {
		return errors.New("serve: for bench itself")
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	if err := proc.Pin(o.Core); err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	start := kinds[o.Kind]
	if other := more[o.Kind]; other != nil {
		start = func(o *Options) (*service, error) {
			addr, stop, err := other(o)
			s := &service{addr: addr, stop: stop}
			if err == nil && o.push != nil {
				var l *ledger
				if l, err = openLedger(o.Ledger); err == nil {
					s.send = newSender(o, l, o.push)
				}
			}
			return s, err
		}
	}
	if start == nil {
		return fmt.Errorf("no server %q", o.Kind)
	}
	s, err := start(&o)
	if err != nil {
		return err
	}
	defer s.stop()
	return proc.Obey(os.Stdin, os.Stdout, func(line string) any { return s.status(s.do(line)) })
}

// do runs one command: "status", "gc", "push", "hush", "send RATE", "send", "drain",
// "cpu FILE", "cpu", "waits" or "profile NAME FILE".
func (s *service) do(line string) error {
	command, file, _ := strings.Cut(line, " ")
	switch {
	case command == "", command == "status":
		return nil
	case command == "gc":
		debug.FreeOSMemory()
		return nil
	case command == "push" && s.game != nil, command == "hush" && s.game != nil:
		s.game.pushing.Store(command == "push")
		return nil
	case command == "send" && s.send != nil:
		return s.send.order(file)
	case command == "drain" && s.drain != nil:
		return s.drain()
	case command == "cpu" && file == "":
		pprof.StopCPUProfile()
		return nil
	case command == "cpu":
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return pprof.StartCPUProfile(f) // the file is complete once it is stopped
	case command == "waits": // are noted from now on
		runtime.SetMutexProfileFraction(1)
		runtime.SetBlockProfileRate(1)
		return nil
	case command == "profile":
		name, file, _ := strings.Cut(file, " ")
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
	}
	return fmt.Errorf("no command %q", line)
}

func (s *service) status(err error) Status {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st := Status{
		Addr: s.addr, Key: s.key, Mallocs: m.Mallocs, HeapAlloc: m.HeapAlloc, StackInuse: m.StackInuse, Goroutines: runtime.NumGoroutine(),
	}
	if s.stats != nil {
		st.Stats = s.stats()
	}
	if s.game != nil {
		st.Game = s.game.status()
	}
	if s.send != nil {
		st.Sent = s.send.status()
	}
	if err != nil {
		st.Error = err.Error()
	}
	return st
}
