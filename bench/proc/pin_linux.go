// SPDX-License-Identifier: MIT

package proc

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// pinned tells the process that it has its core already.
const pinned = "LIFELINE_BENCH_PINNED=1"

// Pin gives the process one core and nothing else. It starts the program anew
// in the same process, so that every thread inherits the core and the runtime
// counts one. The second time it returns at once, as it does with core < 0.
func Pin(core int) error {
	if core < 0 || os.Getenv("LIFELINE_BENCH_PINNED") != "" {
		return nil
	}
	runtime.LockOSThread() // the thread that calls exec is the one that lives on
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(path, os.Args, append(os.Environ(), pinned))
}

// Unpinned is the environment for a child that may pin itself.
func Unpinned() []string {
	var env []string
	for _, e := range os.Environ() {
		if e != pinned {
			env = append(env, e)
		}
	}
	return env
}

// OpenFiles returns how many files a process may have open.
func OpenFiles() (int, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, err
	}
	return int(min(r.Cur, 1<<30)), nil // Go has raised it as far as it may
}
