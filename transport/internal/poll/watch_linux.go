// SPDX-License-Identifier: MIT

package poll

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// restless is how often a loop that waits for more looks in vain before it sleeps.
const restless = 8

// watch is where a loop waits: an epoll of its own in Go's poller, with its datagram
// sockets, and with gnet's epoll, so that a loop is a goroutine that waits and no
// thread in a system call. The sockets can't be in Go's poller themselves: that hears
// of every datagram that leaves. What is in there tells once, and is heard again when
// the loop has looked and found nothing. Owned by the loop, except for wake.
type watch struct {
	fd    int // of epoll
	epoll *os.File
	raw   syscall.RawConn
	ask   func(fd uintptr) bool // asks epoll what has come: made once
	told  []bool                // by number: of the listener, then gnet's and the timer's
	fds   []int32               // likewise; -1 what there is none of
	timer int                   // rings once
	rings time.Duration         // when it does, or did
	coalescer
	empty int // looks in a row that found nothing
}

// openWatch watches over the sockets of a loop.
func (g *loop) openWatch() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(fd, true) // so Go's poller takes it
	w := &watch{fd: fd, epoll: os.NewFile(uintptr(fd), "epoll"), told: make([]bool, len(g.udp)+2), timer: -1, rings: backend.Never}
	for i, u := range g.udp {
		w.fds = append(w.fds, -1)
		if u != nil && err == nil {
			err = w.add(i, u.fd)
		}
	}
	w.fds = append(w.fds, -1, -1)
	if err == nil {
		w.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	}
	if err == nil {
		err = w.add(len(g.udp)+1, w.timer)
	}
	if err == nil {
		w.raw, err = w.epoll.SyscallConn()
	}
	if err != nil {
		w.close()
		return err
	}
	w.ask = w.look
	g.watch = w
	return nil
}

func (g *loop) closeWatch() {
	if g.watch != nil {
		g.watch.close()
		g.watch = nil
	}
}

func (w *watch) close() {
	_ = w.epoll.Close()
	if w.timer >= 0 {
		_ = unix.Close(w.timer)
	}
}

// watchGnet watches over the epoll of gnet's, which has the streams and what else gnet
// is to do.
func (g *loop) watchGnet(c gnet.Conn) error {
	fd, err := epollOf(c.Fd())
	if err != nil {
		return err
	}
	return g.watch.add(len(g.udp), fd)
}

// epollOf returns the epoll that has a descriptor: the one that can't be given it again.
// gnet does not tell which its own is.
func epollOf(fd int) (int, error) {
	r := unix.Rlimit{Cur: 1 << 20}
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &r)
	for epoll := range int(min(r.Cur, 1<<30)) {
		switch err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{}); err {
		case unix.EEXIST:
			return epoll, nil
		case nil: // another one, which hears of nothing by that
			_ = unix.EpollCtl(epoll, unix.EPOLL_CTL_DEL, fd, nil)
		}
	}
	return 0, fmt.Errorf("transport: no epoll has descriptor %d", fd)
}

func (w *watch) add(number, fd int) error {
	w.fds[number] = int32(fd)
	return w.hear(unix.EPOLL_CTL_ADD, number)
}

// hear makes what has a number tell once.
func (w *watch) hear(op, number int) error {
	w.told[number] = false
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.fd, op, int(w.fds[number]), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(number)}))
}

// look asks, without a wait, what has come since it was made to tell. It reports
// whether anything has.
func (w *watch) look(fd uintptr) bool {
	var events [8]unix.EpollEvent
	n := epollNow(fd, events[:])
	for _, e := range events[:n] {
		w.told[e.Fd] = true
	}
	return n > 0
}

// epollNow asks an epoll what there is. It does not wait: see mmsg.
func epollNow(fd uintptr, events []unix.EpollEvent) (n int) {
	r, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(r)
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// wake ends sleep, also one that is about to begin. Safe to call from any goroutine.
func (w *watch) wake() { _ = w.epoll.SetReadDeadline(past) }

// sleep waits until something has come, or wake was called, or it is time.
func (w *watch) sleep(until, now time.Duration) {
	if until != w.rings {
		w.rings = until
		var t unix.ItimerSpec
		if until != backend.Never {
			t.Value = unix.NsecToTimespec(int64(until - now))
		}
		_ = unix.TimerfdSettime(w.timer, 0, &t, nil)
	}
	for i, told := range w.told {
		if told {
			_ = w.hear(unix.EPOLL_CTL_MOD, i)
		}
	}
	if err := w.raw.Read(w.ask); errors.Is(err, os.ErrDeadlineExceeded) {
		_ = w.epoll.SetReadDeadline(time.Time{}) // before the batch, which looks at what wake was called for
		w.look(uintptr(w.fd))
	}
}

// nap waits in the kernel for so short a time that to tell Go's scheduler would cost more
// than the wait is worth. The scheduler's timers are too coarse for it, too.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// wake is what the queue wakes the loop by.
func (g *loop) wake() { g.watch.wake() }

// turn is what a loop does between two rounds of gnet's: batches of datagrams and of
// what it was woken for, and waits. It ends when gnet has something to do.
func (g *loop) turn() gnet.Action {
	w, gnets := g.watch, len(g.udp)
	came := g.round.came
	if g.round.came = 0; came == 0 && w.told[gnets] {
		_ = w.hear(unix.EPOLL_CTL_MOD, gnets)
	}
	for settled := true; ; settled = false {
		more := false
		if !settled || slices.Contains(w.told[:gnets], true) {
			var n uint64
			more, n = g.take()
			came += n
		}
		if g.sink.Ended() && g.refused() {
			return gnet.Shutdown
		}
		if !more {
			w.emptied(g.sink.Now(), g.r.CoalesceDelay, came)
			more = came >= busyBatch && w.upto == 0
			if w.empty++; came > 0 {
				w.empty = 0
			}
		}
		came = 0
		at := g.engineAt.Load()
		now := g.r.Now()
		switch wait := w.wait(now); {
		case more || g.wakeAt <= now:
			g.yield()
			w.look(uintptr(w.fd))
		case at == nil || at.coming.Load() > 0:
			// gnet may have heard of its end, or of a connection, with what it has just
			// told. It sees to that afterwards, and hears of it once. Of many connections
			// one is always on its way, so the loop looks at all else meanwhile.
			runtime.Gosched()
			w.look(uintptr(w.fd))
			w.told[gnets] = true
		case wait > 0 && w.empty < restless:
			runtime.Gosched() // others have their turn before the thread sleeps
			nap(wait)
			w.look(uintptr(w.fd))
		default:
			w.sleep(g.wakeAt, now)
			if wait := w.wait(g.r.Now()); wait > 0 {
				nap(wait)
				w.look(uintptr(w.fd))
			}
		}
		if w.told[gnets] {
			g.ahead()
			return gnet.None
		}
	}
}

// ahead looks at what gnet is about to tell of. If that is a few streams with something to
// read and nothing else, a callback comes for each, and the last of them goes on with
// turn. For anything else the loop has gnet call it back by its waker.
func (g *loop) ahead() {
	gnets := int(g.watch.fds[len(g.udp)])
	var events [8]unix.EpollEvent // where more come, the waker costs each of them little
	n := epollNow(uintptr(gnets), events[:])
	g.round.left = n % len(events)
	for _, e := range events[:n] {
		if !g.round.streams[e.Fd] {
			// Gnet's own tells once, and it is gnet that must hear it.
			_ = unix.EpollCtl(gnets, unix.EPOLL_CTL_MOD, int(e.Fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLET, Fd: e.Fd})
			g.round.left = 0
		} else if e.Events != unix.EPOLLIN {
			g.round.left = 0
		}
	}
	if g.round.left == 0 {
		g.join() // with the waker comes a batch, which takes note of what woke the loop
		g.waker.wake()
	}
}

// WakeAt is for sleep.
func (g *loop) WakeAt(at time.Duration) { g.wakeAt = at }

// take takes what waits for the loop, in a batch, or in several. It returns whether
// there may be more, and how many datagrams came.
func (g *loop) take() (more bool, came uint64) {
	before := g.came
	more = true // one batch must be: it takes note of what woke the loop
	for n := 0; more && n < recvRounds && (n == 0 || !g.sink.Ended()); n++ {
		more = false
		g.sink.Begin()
		for i, u := range g.udp {
			if u != nil && g.watch.told[i] && u.recv() {
				more = true
			}
		}
		g.sink.End()
	}
	return more, g.came - before
}
