// SPDX-License-Identifier: MIT

package load

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Remote is a Crew in a process of its own: the program that knows its library.
type Remote struct {
	child *proc.Child
	tell  func(error)
	last  said
}

// said is what that process answers to every command.
type said struct {
	Hist     *chart.Histogram `json:",omitempty"`
	Lateness *Lateness        `json:",omitempty"`
	Counts   Counts
	Waiting  uint64
	Error    string
}

// StartRemote starts the program, on the core that this one has.
func StartRemote(program, kind string, cfg Config, tell func(error)) (*Remote, error) {
	b, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "play", kind, string(b))
	child, err := proc.StartChild(cmd, &said{})
	if err != nil {
		return nil, fmt.Errorf("start the players of %s: %w", kind, err)
	}
	g := &Remote{child: child, tell: func(err error) {
		if err != nil {
			tell(fmt.Errorf("players of %s: %w", kind, err))
		}
	}}
	return g, nil
}

// Main is their process: it plays until its input ends.
func Main(args []string, dials map[string]Dial) error {
	var cfg Config
	if len(args) != 2 || dials[args[0]] == nil {
		return errors.New("play: for bench itself")
	}
	if err := json.Unmarshal([]byte(args[1]), &cfg); err != nil {
		return err
	}
	c, err := NewCrew(cfg, dials[args[0]])
	if err != nil {
		return err
	}
	defer c.Close()
	return proc.Obey(os.Stdin, os.Stdout, c.do)
}

// do runs one command: "open LIMIT", "play TIME", "reset" or "result".
func (c *Crew) do(line string) any {
	command, rest, _ := strings.Cut(line, " ")
	d, _ := time.ParseDuration(rest) // it writes no other
	var s said
	var err error
	switch command {
	case "open":
		err = c.Open(d)
	case "play":
		c.Play(d)
	case "reset":
		c.Reset()
	case "result":
		s.Hist, s.Counts, s.Waiting, err = c.Result()
		s.Lateness = &c.lateness
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// do has a command carried out. What went wrong for players is told.
func (g *Remote) do(command string) error {
	g.last = said{}
	err := g.child.Do(command, &g.last)
	if err == nil && g.last.Error != "" {
		err = errors.New(g.last.Error)
	}
	return err
}

// PID names their process.
func (g *Remote) PID() int { return g.child.PID() }

// Open connects everybody.
func (g *Remote) Open(limit time.Duration) error { return g.do("open " + limit.String()) }

// Play lets the players ask for d.
func (g *Remote) Play(d time.Duration) { g.tell(g.do("play " + d.String())) }

// Reset forgets what was counted so far.
func (g *Remote) Reset() { g.tell(g.do("reset")) }

// Result is what was counted since the last Reset.
func (g *Remote) Result() (*chart.Histogram, Counts) {
	g.tell(g.do("result"))
	return cmp.Or(g.last.Hist, &chart.Histogram{}), g.last.Counts
}

// Lateness is what was measured of it at the last Result.
func (g *Remote) Lateness() *Lateness { return cmp.Or(g.last.Lateness, &Lateness{}) }

// Waiting returns how many requests had no answer at the last Result.
func (g *Remote) Waiting() uint64 { return g.last.Waiting }

// Close ends their process.
func (g *Remote) Close() { g.tell(g.child.Stop()) }
