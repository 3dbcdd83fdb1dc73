// SPDX-License-Identifier: MIT

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// The mark of an incarnation is a file of its name in Config.Dir. Its process holds a lock
// on it as long as it lives, and the file says in which boot of which machine that is. The
// kernel gives the lock back when no thread of the process can run any more. So in the same
// boot a mark without a lock is the proof that its process has ended: SPEC.md 4.1.

// machineBoot names this boot of this machine.
func machineBoot() ([]byte, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if b = bytes.TrimSpace(b); err == nil && len(b) == 0 {
		err = errors.New("it is empty")
	}
	return b, err
}

// mark makes the mark of this process. Closing the file would be its death for others.
func mark(dir string, i core.Incarnation) (*os.File, error) {
	boot, err := machineBoot()
	if err != nil {
		return nil, fmt.Errorf("cluster: the boot of this machine: %w", err)
	}
	if err = os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cluster: Dir: %w", err)
	}
	f, err := os.OpenFile(markPath(dir, i), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cluster: Dir: %w", err)
	}
	// First the lock, then what the file says: an empty one proves nothing.
	if err = lock(f, syscall.LOCK_EX); err == nil {
		_, err = f.Write(boot)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: Dir: %w", errors.Join(err, f.Close(), os.Remove(f.Name())))
	}
	return f, nil
}

// lock locks a file. With LOCK_EX it waits for processes that look whether it is locked,
// which is over in a moment.
func lock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// ended reports that the process of an incarnation has ended for sure. False proves nothing.
func ended(dir string, i core.Incarnation) bool {
	f, err := os.Open(markPath(dir, i))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	if lock(f, syscall.LOCK_SH|syscall.LOCK_NB) != nil {
		return false
	}
	boot, err := machineBoot()
	said := make([]byte, 64)
	n, err2 := f.Read(said)
	return err == nil && err2 == nil && bytes.Equal(said[:n], boot)
}
