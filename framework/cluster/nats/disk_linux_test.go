// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk: a directory whose disk is full says so, loses nothing that it has
// acknowledged, and goes on when there is room. It needs a disk of its own, in a process that
// may mount one.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("LIFELINE_DISK"); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
			t.Skip("no disk can be mounted here:", err)
		}
		fullDisk(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), "LIFELINE_DISK="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		t.Errorf("%v\n%s", err, out)
	case err != nil:
		t.Skip("no process may mount a disk here:", err)
	}
	t.Logf("%s", out)
}

func fullDisk(t *testing.T, dir string) {
	b := start(t, Config{Dir: filepath.Join(dir, "directory")})
	const key = "sessions/0123456789ab"
	value, rev := "0", put(t, b, key, "0", 0)
	junk := filepath.Join(dir, "junk")
	f, err := os.Create(junk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 1 << 16; n > 0; n /= 2 { // to the last byte
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, n))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		next, err := b.Put(try, key, []byte(value+"x"), rev)
		stop()
		switch {
		case err == nil:
			value, rev = value+"x", next
			continue
		case ctx.Err() != nil:
			t.Fatalf("the disk is full, and this is said: %v", err)
		case !errors.Is(err, ErrDisk): // a slow machine
			value, rev = get(t, b, key)
			continue
		}
		break
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	got, at := get(t, b, key)
	if got != value && got != value+"x" || at < rev {
		t.Errorf("what was acknowledged is %q at revision %d, and it has %q at %d", value, rev, got, at)
	}
	put(t, b, key, "there is room", at)
}
