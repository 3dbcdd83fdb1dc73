// SPDX-License-Identifier: MIT

package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time that the threads of a process have used: by
// the scheduler's own clock where the kernel keeps it, else in ticks of 10 ms.
func CPU(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return ticks(pid)
	}
	var sum time.Duration
	for _, name := range files {
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended meanwhile
		}
		ran, _, _ := bytes.Cut(b, []byte(" "))
		ns, parse := strconv.ParseInt(string(ran), 10, 64)
		if err = errors.Join(err, parse); err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// Going reports whether a thread of a process that was told to stop (SIGSTOP) has not yet.
func Going(pid int) (bool, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range files {
		// A thread that can't be read has ended.
		if fields, err := stat(name); err == nil && fields[0] != "T" {
			return true, nil
		}
	}
	return false, err
}

// ticks returns user and system time.
func ticks(pid int) (time.Duration, error) {
	fields, err := stat(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// stat reads the fields of a stat file from the third one on, the state, to the system
// time at least. The second field is the name, which may hold anything.
func stat(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return nil, fmt.Errorf("%s has %d fields", name, len(fields))
	}
	return fields, nil
}

// RSS returns the memory of a process that is in RAM, in bytes.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	line, _, _ := strings.Cut(rest, "kB")
	kb, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return kb << 10, err
}

// Times are the machine's, over all cores.
type Times struct {
	Busy  time.Duration // somebody ran
	Steal time.Duration // somebody would have, but the hypervisor ran another machine
	Total time.Duration
}

// Now reads the processor's times.
func Now() (Times, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Times{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var t Times
	for i, f := range strings.Fields(line) {
		if i == 0 || i > 8 { // "cpu"; guests are in user time already
			continue
		}
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Times{}, err
		}
		d := time.Duration(ticks) * 10 * time.Millisecond
		t.Total += d
		switch i {
		case 4, 5: // idle, and idle with the disk at work
		case 8:
			t.Steal = d
		default:
			t.Busy += d
		}
	}
	return t, nil
}

// Since returns what went by since from.
func (t Times) Since(from Times) Times {
	return Times{t.Busy - from.Busy, t.Steal - from.Steal, t.Total - from.Total}
}

// Monotonic is a clock that all processes of the machine share.
func Monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it is there
	return time.Duration(ts.Nano())
}

// Machine describes where this runs.
func Machine() (cpu, kernel string) {
	b, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(b), "model name")
	cpu, _, _ = strings.Cut(rest, "\n")
	cpu = strings.Trim(cpu, "\t :")
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	return cpu, kernel
}

// Cores returns how many cores are online, whichever this process may use.
func Cores() (int, error) {
	names, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*")
	if err != nil || len(names) == 0 {
		return 0, errors.Join(err, errors.New("no cores in /sys"))
	}
	return len(names), nil
}
