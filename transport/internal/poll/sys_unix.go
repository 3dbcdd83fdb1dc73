// SPDX-License-Identifier: MIT

//go:build unix

package poll

import (
	"errors"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// waker is what wakes a loop: the writing end of a pair of sockets. Guarded by
// the queue's lock between open and close.
type waker struct{ fd int }

// open returns the end that the loop listens to.
func (b *waker) open() (net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range pair {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			_ = unix.Close(pair[0])
			_ = unix.Close(pair[1])
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	f := os.NewFile(uintptr(pair[0]), "waker")
	conn, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		_ = unix.Close(pair[1])
		return nil, err
	}
	b.fd = pair[1]
	return conn, nil
}

var wakeByte = []byte{1}

// wake never blocks: a full pair of sockets wakes the loop anyway.
func (b *waker) wake() { _, _ = unix.Write(b.fd, wakeByte) }

func (b *waker) close() {
	if b.fd > 0 {
		_ = unix.Close(b.fd)
		b.fd = 0
	}
}

// shutdownWrite ends the writing half of c.
func shutdownWrite(c gnet.Conn) bool { return unix.Shutdown(c.Fd(), unix.SHUT_WR) == nil }

// noFiles reports whether a call failed because no more files may be open.
func noFiles(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// awaitConn returns when ln has a connection, or is closed. It keeps a thread
// busy waiting, since Go's net offers nothing of the kind for listeners.
func awaitConn(ln *net.TCPListener) {
	c, err := ln.SyscallConn()
	for n := 0; n == 0 && err == nil; {
		err = c.Control(func(fd uintptr) {
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 50) // milliseconds
			n = max(n, 0)                                                             // interrupted
		})
	}
}
