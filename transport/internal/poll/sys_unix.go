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

// waker is what wakes a loop: the writing ends of two pairs of sockets, which take
// turns. An epoll that has told of a socket tells of it before whatever has come since,
// if it is readable again when the epoll looks for the next time, but not the time after
// that. A wake-up is to come after what was there before it. Guarded by the queue's lock
// between open and close.
type waker struct {
	fds [2]int
	n   int // wake-ups
}

// open returns the ends that the loop listens to.
func (b *waker) open() (conns []net.Conn, err error) {
	for i := range b.fds {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return conns, os.NewSyscallError("socketpair", err)
		}
		b.fds[i] = pair[1]
		f := os.NewFile(uintptr(pair[0]), "waker")
		for _, fd := range pair {
			unix.CloseOnExec(fd)
			err = errors.Join(err, os.NewSyscallError("fcntl", unix.SetNonblock(fd, true)))
		}
		conn, cannot := net.FileConn(f)
		if _ = f.Close(); cannot == nil {
			conns = append(conns, conn)
		}
		if err = errors.Join(err, cannot); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

var wakeByte = []byte{1}

// wake never blocks: a full pair of sockets wakes the loop anyway.
func (b *waker) wake() {
	_, _ = unix.Write(b.fds[b.n%len(b.fds)], wakeByte)
	b.n++
}

func (b *waker) close() {
	for i, fd := range b.fds {
		if fd > 0 {
			_ = unix.Close(fd)
			b.fds[i] = 0
		}
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
