// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"os"
	"os/exec"

	"github.com/lifeline-go/lifeline/bench/link/path"
	"github.com/lifeline-go/lifeline/bench/link/wire"
)

// around runs a command in a network of its own.
func around(command []string, cfg path.Config) error {
	if !wire.Inside() {
		var failed *exec.ExitError
		err := wire.Namespace()
		if errors.As(err, &failed) {
			os.Exit(failed.ExitCode()) // it has said why
		}
		return err
	}
	down := cfg
	down.Seed++
	t, err := wire.OpenTun(cfg, down)
	if err != nil {
		return err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		os.Exit(failed.ExitCode())
	}
	return errors.Join(err, t.Close())
}
