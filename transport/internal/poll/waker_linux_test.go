// SPDX-License-Identifier: MIT

package poll

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWakeUpComesLast: an epoll tells of a wake-up after what was there before it, each
// time. With one pair of sockets it does so the first time only.
func TestWakeUpComesLast(t *testing.T) {
	var w waker
	conns, err := w.open()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	add := func(fd int) {
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range conns {
		defer c.Close()
		raw, err := c.(*net.UnixConn).File()
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		add(int(raw.Fd()))
	}
	for i := range 10 {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0) // what it has not told of yet
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pair[0])
		defer unix.Close(pair[1])
		add(pair[0])
		_, _ = unix.Write(pair[1], wakeByte)
		w.wake()
		var events [8]unix.EpollEvent
		n, err := unix.EpollWait(epoll, events[:], 0)
		if err != nil || n != 2 || int(events[0].Fd) != pair[0] {
			t.Fatalf("round %d: %d events, the first of descriptor %d; want 2, the first of %d (%v)", i, n, events[0].Fd, pair[0], err)
		}
		for _, e := range events[:n] {
			if _, err := unix.Read(int(e.Fd), make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
