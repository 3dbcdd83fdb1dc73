// SPDX-License-Identifier: MIT

package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/framework"
)

// Options is what a server is told when it starts.
type Options struct {
	Kind     string // "lifeline", "kcp-go", "udp" or "go-tcp"
	Carrier  string // of lifeline
	Core     int    // it runs on; negative: on any
	Links    int    // it must have room for
	Interval time.Duration
}

func (o *Options) flags(fs *flag.FlagSet) {
	fs.StringVar(&o.Kind, "kind", "lifeline", "")
	fs.StringVar(&o.Carrier, "carrier", "plain-kcp", "")
	fs.IntVar(&o.Core, "core", -1, "")
	fs.IntVar(&o.Links, "links", 0, "")
	fs.DurationVar(&o.Interval, "interval", 0, "")
}

func (o *Options) args() []string {
	return []string{
		"serve", "-kind", o.Kind, "-carrier", o.Carrier, "-core", fmt.Sprint(o.Core),
		"-links", fmt.Sprint(o.Links), "-interval", o.Interval.String(),
	}
}

// Status is what a server answers to every command.
type Status struct {
	Addr       netip.AddrPort
	Mallocs    uint64
	HeapAlloc  uint64
	StackInuse uint64
	Goroutines int
	Stats      framework.Stats
	Error      string
}

// service is a server that runs.
type service struct {
	addr  netip.AddrPort
	stats func() framework.Stats // nil: it keeps none
	stop  func()
}

var kinds = map[string]func(*Options) (*service, error){
	"lifeline": startLifeline, "kcp-go": startKCPGo, "udp": startUDP, "go-tcp": startGoTCP,
}

// Main is the process of a server: it serves until its input ends.
func Main(args []string) error {
	var o Options
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	o.flags(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := proc.Pin(o.Core); err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	start := kinds[o.Kind]
	if start == nil {
		return fmt.Errorf("no server %q", o.Kind)
	}
	s, err := start(&o)
	if err != nil {
		return err
	}
	defer s.stop()
	return s.obey(os.Stdin, os.Stdout)
}

// obey answers commands until there are no more. The first answer needs none:
// it says that the server is there.
func (s *service) obey(in io.Reader, out io.Writer) error {
	w := json.NewEncoder(out)
	if err := w.Encode(s.status(nil)); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := w.Encode(s.status(do(lines.Text()))); err != nil {
			return err
		}
	}
	return nil
}

// do runs one command: "status", "gc", "cpu FILE", "cpu" or "heap FILE".
func do(line string) error {
	command, file, _ := strings.Cut(line, " ")
	switch {
	case command == "status":
		return nil
	case command == "gc":
		debug.FreeOSMemory()
		return nil
	case command == "cpu" && file == "":
		pprof.StopCPUProfile()
		return nil
	case command == "cpu":
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return pprof.StartCPUProfile(f) // the file is complete once it is stopped
	case command == "heap":
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return errors.Join(pprof.WriteHeapProfile(f), f.Close())
	}
	return fmt.Errorf("no command %q", line)
}

func (s *service) status(err error) Status {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st := Status{
		Addr: s.addr, Mallocs: m.Mallocs, HeapAlloc: m.HeapAlloc, StackInuse: m.StackInuse, Goroutines: runtime.NumGoroutine(),
	}
	if s.stats != nil {
		st.Stats = s.stats()
	}
	if err != nil {
		st.Error = err.Error()
	}
	return st
}
