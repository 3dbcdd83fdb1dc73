// SPDX-License-Identifier: MIT

package load

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// punctual has the kernel wake this thread when its time has come: usually it
// may be 50 us late, to wake several threads together.
func punctual() (end func()) {
	slack := func(ns uintptr) { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, ns, 0, 0, 0) }
	runtime.LockOSThread()
	slack(1)
	return func() {
		slack(0) // as it was
		runtime.UnlockOSThread()
	}
}

// take reads from a socket, and notes how long what it has read lay there.
func (f *Fleet) take(fd int) (n int, err error) {
	if f.lay = -1; !f.cfg.Lateness {
		return read(fd, f.in)
	}
	now := time.Now()
	n, stamp, err := readStamped(fd, f.in)
	if f.now = now.Sub(f.start); stamp > 0 {
		f.lay = max(time.Duration(now.UnixNano()-stamp), 0) // it may have come after we looked at the clock
	}
	return n, err
}

// own takes the lateness of a request whose answer has been read.
func (f *Fleet) own(r *request) {
	if !f.cfg.Lateness {
		return
	}
	f.lateness.Write.Add(r.written - r.due)
	if f.lay >= 0 {
		f.lateness.Read.Add(f.lay)
		f.lateness.Apart.Add(f.now - f.lay - r.written)
	}
}

// Lateness is that of the requests answered since the last Reset.
func (f *Fleet) Lateness() *Lateness { return &f.lateness }

// stamped is room for one control message with a time.
type stamped struct {
	head unix.Cmsghdr
	at   unix.Timespec
}

// readStamped reads, and returns the time by the system's clock at which what it
// has read arrived: of several pieces of a stream, the last one. 0 if the kernel
// does not tell.
func readStamped(fd int, b []byte) (n int, stamp int64, err error) {
	var control stamped
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(len(b))
	hdr := unix.Msghdr{Iov: &iov, Control: (*byte)(unsafe.Pointer(&control))}
	hdr.SetIovlen(1)
	hdr.SetControllen(int(unsafe.Sizeof(control)))
	r, _, e := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&hdr)), unix.MSG_DONTWAIT)
	if e != 0 {
		return 0, 0, e
	}
	if hdr.Controllen > 0 && control.head.Level == unix.SOL_SOCKET && control.head.Type == unix.SCM_TIMESTAMPNS {
		stamp = control.at.Nano()
	}
	return int(r), stamp, nil
}
