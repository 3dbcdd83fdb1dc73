// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// process is a program under test that is spoken to in lines. One goroutine
// uses it.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what it said; closed when it says no more
	end   sync.Once
}

// The limits of what a program may say.
const (
	longestLine = 1 << 20 // bytes
	mostLines   = 1 << 16 // of one answer, and of those not read yet
)

// start runs a program. Its standard error is ours.
func start(command []string) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), lines: make(chan string, mostLines)}
	p.cmd.Stderr = os.Stderr
	p.cmd.WaitDelay = time.Second // children of it may hold its pipes
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.in = in
	go p.read(out) // ends with the program
	return p, nil
}

func (p *process) read(out io.Reader) {
	defer close(p.lines)
	s := bufio.NewScanner(out)
	s.Buffer(nil, longestLine)
	for s.Scan() {
		select {
		case p.lines <- s.Text():
		default:
			return // it talks without end
		}
	}
}

var errSilent = errors.New("the program ended, or closed its standard output")

// tell writes a line.
func (p *process) tell(line string) error {
	_, err := io.WriteString(p.in, line+"\n")
	return err
}

// hear returns the next line.
func (p *process) hear(wait time.Duration) (string, error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case l, ok := <-p.lines:
		if !ok {
			return "", errSilent
		}
		return l, nil
	case <-t.C:
		return "", fmt.Errorf("the program did not answer within %v", wait)
	}
}

// stop ends the program.
func (p *process) stop() {
	p.end.Do(func() {
		_ = p.in.Close()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
}

// coreProcess is a client without sockets in another program.
type coreProcess struct {
	*process
	patience time.Duration
}

// full ends what a program answers to one command.
const full = "."

func (c *coreProcess) begin(name string) error {
	_, err := c.do("script " + name)
	return err
}

func (c *coreProcess) do(command string) ([]string, error) {
	if err := c.tell(command); err != nil {
		return nil, err
	}
	var lines []string
	for len(lines) < mostLines {
		l, err := c.hear(c.patience)
		if err != nil || l == full {
			return lines, err
		}
		lines = append(lines, l)
	}
	return nil, fmt.Errorf("the program answered with more than %d lines", mostLines)
}
