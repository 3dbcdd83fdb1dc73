// SPDX-License-Identifier: MIT

package wire

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// inside is in the environment of a process that Namespace has started.
const inside = "LIFELINE_LINK_INSIDE"

// Inside reports whether this process is in a namespace of its own.
func Inside() bool { return os.Getenv(inside) != "" }

// Namespace runs this program again, with the same arguments, in a network
// namespace of its own, and returns its error. Who is not root becomes it in
// there, where the system allows that (user namespaces).
func Namespace() error {
	runtime.LockOSThread() // the child dies with the thread that made it
	defer runtime.UnlockOSThread()
	path, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("wire: a network namespace: %w", err)
	}
	return cmd.Wait()
}
