// SPDX-License-Identifier: MIT

package poll

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"golang.org/x/sys/unix"
)

// maxWatched sockets tell at once; others tell later.
const maxWatched = 4

// udpWatch wakes a loop when datagrams have come. It is an epoll of its own in
// Go's poller, since the sockets can't be there: that hears of every datagram
// that leaves. A socket of it tells once, and is heard again when the loop has
// read it and looks no more by itself.
type udpWatch struct {
	wake  func() // the loop
	fd    int    // of epoll
	epoll *os.File
	raw   syscall.RawConn
	done  sync.WaitGroup

	// armed is set by the loop when it relies on being woken, and cleared by
	// the goroutine that wakes it, which then waits for again. While it is
	// cleared, ready is the loop's; while it is set, that goroutine's.
	armed atomic.Bool
	ready []int32 // sockets that have told
	again chan struct{}

	coalescer      // the loop's
	quiet     bool // nothing came when it last looked: it waits to be woken
}

// openWatch watches over the sockets of a loop, if it has any.
func (g *loop) openWatch() error {
	if !slices.ContainsFunc(g.udp, func(u *udpSocket) bool { return u != nil }) {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(fd, true) // so Go's poller takes it
	w := &udpWatch{wake: g.queue.Wake, fd: fd, epoll: os.NewFile(uintptr(fd), "epoll"), again: make(chan struct{}, 1)}
	for _, u := range g.udp {
		if u != nil && err == nil {
			err = w.hear(unix.EPOLL_CTL_ADD, int32(u.fd))
		}
	}
	if err == nil {
		w.raw, err = w.epoll.SyscallConn()
	}
	if err != nil {
		_ = w.epoll.Close()
		return err
	}
	w.armed.Store(true)
	g.watch = w
	w.done.Add(1)
	// Ends when closeWatch closes again.
	go w.run()
	return nil
}

func (g *loop) closeWatch() {
	if w := g.watch; w != nil {
		g.watch = nil
		close(w.again)
		_ = w.epoll.Close()
		w.done.Wait()
	}
}

// hear makes a socket tell once.
func (w *udpWatch) hear(op int, fd int32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.fd, op, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: fd}))
}

// run wakes the loop when a socket tells, until closeWatch.
func (w *udpWatch) run() {
	defer w.done.Done()
	var events [maxWatched]unix.EpollEvent
	_ = w.raw.Read(func(fd uintptr) (done bool) {
		// It does not wait: see mmsg.
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&events[0])), maxWatched, 0, 0, 0)
		if errno != 0 || n == 0 {
			return false
		}
		for _, e := range events[:n] {
			w.ready = append(w.ready, e.Fd)
		}
		w.armed.Store(false)
		w.wake()
		_, more := <-w.again
		return !more
	})
}

// told reports whether datagrams have come since arm.
func (w *udpWatch) told() bool { return w != nil && !w.armed.Load() }

// arm makes datagrams that come, and those that have come, wake the loop.
func (w *udpWatch) arm() {
	if !w.told() {
		return
	}
	for _, fd := range w.ready {
		_ = w.hear(unix.EPOLL_CTL_MOD, fd)
	}
	w.ready = w.ready[:0]
	w.armed.Store(true)
	w.again <- struct{}{}
}

// turn is what a loop does when it was woken: a batch, or several while
// datagrams wait. Without a stream nothing else comes to the loop than what
// wakes it, so it waits for that here, as a goroutine: in gnet it would be a
// thread in a system call, which costs more.
func (g *loop) turn() {
	w := g.watch
	if g.round.open { // this is part of its batch
		g.look()
		return
	}
	stays := g.lone()
	if stays {
		g.queue.Stay(true)
	}
	for {
		more := g.take()
		switch {
		case !stays || !g.lone():
			if stays {
				g.queue.Stay(false)
			}
			if more {
				g.queue.Wake()
			} else {
				w.arm()
			}
			return
		case more:
			g.yield()
		case w == nil:
			g.queue.Park(backend.Never)
		default:
			wait := w.wait(g.r.Now())
			if wait == 0 || w.quiet || !w.told() {
				wait = backend.Never
				w.arm()
			}
			g.queue.Park(wait)
			runtime.Gosched() // what woke it may not be alone: they share the batch
		}
	}
}

// look is a batch of what waits for the loop, or a part of the one that is open.
func (g *loop) look() {
	g.sink.Begin()
	if g.watch.told() {
		g.Drain()
	}
	g.sink.End()
	g.watch.arm()
}

// take takes what waits for the loop, in a batch, or in several. It returns
// whether there may be more.
func (g *loop) take() (more bool) {
	w := g.watch
	if !w.told() {
		g.sink.Begin()
		g.sink.End()
		return false
	}
	if wait := w.wait(g.r.Now()); wait > 0 {
		g.queue.Park(wait)
	}
	before := g.came
	more = true // one batch must be: it takes note of what woke the loop
	for n := 0; more && n < recvRounds && (n == 0 || !g.sink.Ended()); n++ {
		more = false
		g.sink.Begin()
		for _, u := range g.udp {
			if u != nil && u.recv() {
				more = true
			}
		}
		g.sink.End()
	}
	if more {
		return true
	}
	came := g.came - before
	w.emptied(g.sink.Now(), g.r.CoalesceDelay, came)
	w.quiet = came == 0
	return came >= busyBatch && w.upto == 0
}

// lone reports whether no stream is served, and none is on its way.
func (g *loop) lone() bool {
	at := g.engineAt.Load()
	return at != nil && at.coming.Load() == 0 && g.sink.Streams() == 0 && !g.sink.Ended()
}
