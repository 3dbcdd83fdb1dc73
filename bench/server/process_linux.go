// SPDX-License-Identifier: MIT

package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/lifeline-go/lifeline/bench/proc"
)

// Child is in the environment of a server: a test binary tells by it that it
// is to call Main.
const Child = "LIFELINE_BENCH_SERVER"

// Process is a server as its parent sees it.
type Process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	status Status
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
	p := &Process{cmd: exec.Command(path, o.args()...)}
	p.cmd.Env = append(proc.Unpinned(), Child+"=1")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if p.status, err = p.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.Kind, err), p.Stop())
	}
	return p, nil
}

func (p *Process) read() (Status, error) {
	var s Status
	var line []byte
	for !bytes.HasPrefix(line, []byte("{")) { // some frameworks print a banner
		var err error
		if line, err = p.out.ReadBytes('\n'); err != nil {
			return s, fmt.Errorf("the server has ended: %w", err)
		}
	}
	if err := json.Unmarshal(line, &s); err != nil {
		return s, err
	}
	if s.Error != "" {
		return s, errors.New(s.Error)
	}
	return s, nil
}

// Do has a command carried out: see Main.
func (p *Process) Do(command string) (Status, error) {
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return Status{}, err
	}
	return p.read()
}

// First returns the status at the start, with the server's address.
func (p *Process) First() Status { return p.status }

// CPU returns the processor time it has used.
func (p *Process) CPU() (time.Duration, error) { return proc.CPU(p.cmd.Process.Pid) }

// RSS returns its memory.
func (p *Process) RSS() (int64, error) { return proc.RSS(p.cmd.Process.Pid) }

// Stop ends it.
func (p *Process) Stop() error {
	_ = p.in.Close()
	// One that does not end by itself is ended: this is no test of Shutdown.
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	return p.cmd.Wait()
}
