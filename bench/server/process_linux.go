// SPDX-License-Identifier: MIT

package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/bench/proc"
)

// Child is in the environment of a server: a test binary tells by it that it
// is to call Main.
const Child = "LIFELINE_BENCH_SERVER"

// Process is a server as its parent sees it.
type Process struct {
	child *proc.Child
	first Status
}

// Start starts a server and returns when it serves.
func Start(o Options) (*Process, error) {
	path, err := o.Program, error(nil)
	if path == "" {
		path, err = os.Executable()
	}
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, o.args()...)
	cmd.Env = append(proc.Unpinned(), Child+"=1")
	if o.Program == "" {
		cmd.Stderr = os.Stderr
	}
	p := &Process{}
	if p.child, err = proc.StartChild(cmd, &p.first); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Kind, err)
	}
	return p, nil
}

// Do has a command carried out: see Main.
func (p *Process) Do(command string) (Status, error) {
	var s Status
	err := p.child.Do(command, &s)
	if err == nil && s.Error != "" {
		err = errors.New(s.Error)
	}
	return s, err
}

// First returns the status at the start, with the server's address.
func (p *Process) First() Status { return p.first }

// CPU returns the processor time it has used.
func (p *Process) CPU() (time.Duration, error) { return proc.CPU(p.child.PID()) }

// RSS returns its memory.
func (p *Process) RSS() (int64, error) { return proc.RSS(p.child.PID()) }

// Signal sends it a signal, as to stop it for a while or to kill it.
func (p *Process) Signal(s syscall.Signal) error { return syscall.Kill(p.child.PID(), s) }

// Pause stops it, and returns when all of its threads stand still: where the machine is
// busy some go on for a while after the signal.
func (p *Process) Pause() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		going, err := proc.Going(p.child.PID())
		if err != nil || !going {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// Stop ends it.
func (p *Process) Stop() error { return p.child.Stop() }
