// SPDX-License-Identifier: MIT

//go:build linux || darwin

package nats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// hold waits until no other process has the folder of the directory: two NATS servers in one
// write over each other, and what both have acknowledged is lost.
func (b *Bus) hold() error {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Patience)
	defer cancel()
	if os.MkdirAll(b.cfg.Dir, 0o750) != nil {
		return nil // the NATS server says why
	}
	f, err := os.Open(b.cfg.Dir)
	if err != nil {
		return fmt.Errorf("cluster/nats: Dir: %w", err)
	}
	b.held = f // until Close
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil // it is ours, or the file system knows no locks
		}
		if !said {
			b.cfg.Logger.Warn("another process keeps the directory of the cluster: waiting until it has ended", "dir", b.cfg.Dir)
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("cluster/nats: another process has Config.Dir %s: give each its own, or start one when the other has ended", b.cfg.Dir)
		}
	}
}
