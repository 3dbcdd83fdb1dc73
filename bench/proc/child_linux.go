// SPDX-License-Identifier: MIT

package proc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// Child is a process that obeys: every line that it gets is answered by one
// line of JSON. When its input ends, so does it.
type Child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log tail
}

// StartChild starts it and reads its first answer, for which it is not asked:
// it says that the child is ready. What the child logs is seen only when it ends
// too early, unless it has a place of its own: some frameworks talk a lot.
func StartChild(cmd *exec.Cmd, first any) (*Child, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c := &Child{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if cmd.Stderr == nil {
		cmd.Stderr = &c.log
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := c.read(first); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Child) read(into any) error {
	var line []byte
	for !bytes.HasPrefix(line, []byte("{")) { // some frameworks print a banner
		var err error
		if line, err = c.out.ReadBytes('\n'); err != nil {
			return fmt.Errorf("the process has ended: %w %s", err, c.log.String())
		}
	}
	return json.Unmarshal(line, into)
}

// Do has a command carried out.
func (c *Child) Do(command string, into any) error {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return err
	}
	return c.read(into)
}

// PID names the process to CPU and RSS.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Stop ends it.
func (c *Child) Stop() error {
	_ = c.in.Close()
	// One that does not end by itself is ended: this is no test of Shutdown.
	kill := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	return c.cmd.Wait()
}

// tail keeps the end of what is written.
type tail struct {
	mu sync.Mutex
	b  []byte // guarded by mu
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(len(t.b)-2000, 0):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// Obey is the child's side. do carries out a line and returns the answer; the
// empty one stands for no command.
func Obey(in io.Reader, out io.Writer, do func(line string) any) error {
	w := json.NewEncoder(out)
	if err := w.Encode(do("")); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := w.Encode(do(lines.Text())); err != nil {
			return err
		}
	}
	return nil
}
