// SPDX-License-Identifier: MIT

package load

import (
	"errors"
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// maxDatagram is what a player's KCP sends at most, as a server's does.
const maxDatagram = 1200

// resendAfter is when a bare datagram is taken for lost.
const resendAfter = 200 * time.Millisecond

// read and write spare the runtime its bookkeeping: none of the sockets blocks.
func read(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func write(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// epollWait waits to the nanosecond where the kernel can (Linux 5.11).
func epollWait(epoll int, events []unix.EpollEvent, wait time.Duration) int {
	ts := unix.NsecToTimespec(int64(wait))
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if e == unix.ENOSYS {
		n, err := unix.EpollWait(epoll, events, int((wait+time.Millisecond-1)/time.Millisecond))
		if err != nil {
			return 0
		}
		return n
	}
	if e != 0 {
		return 0 // EINTR
	}
	return int(n)
}

// dial connects p's stream. On the loopback that takes no time as long as the
// server's queue has room, which Config.Opening sees to.
func (f *Fleet) dial(p *player) error {
	if f.cfg.Users { // servers bound what one address may do at a time
		if err := f.bind(p.sock.fd, p.index); err != nil {
			return err
		}
	}
	if err := unix.Connect(p.sock.fd, sockaddr(f.address(p))); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(p.sock.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if f.cfg.Carrier == "ws" {
		if err := p.ws.upgrade(p.sock.fd); err != nil {
			return err
		}
	}
	return f.watch(p.sock.fd, p.index, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
}

// ready takes what a socket has, one read's worth: if there is more, epoll
// says so again, which is cheaper than to ask.
func (f *Fleet) ready(s *socket, events uint32) {
	f.clock()
	if f.streams && events&unix.EPOLLOUT != 0 {
		f.flush(s.owner)
	}
	if events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		return
	}
	n, err := f.take(s.fd)
	if n == 0 && err == nil && f.streams {
		err = io.EOF
	}
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || err == nil && f.drops():
		return
	case err != nil:
		f.broken(s, err)
		return
	}
	b := f.in[:n]
	switch {
	case f.cfg.Carrier == "plain-kcp":
		f.conversation(s, b)
	case f.cfg.Carrier == "kcp":
		f.sealedDatagram(s, b)
	case f.cfg.Carrier == "tcp":
		if f.stream(s.owner, b) {
			f.flush(s.owner)
		}
	case f.cfg.Carrier == "stcp":
		if f.unrecord(s.owner, b) {
			f.flush(s.owner)
		}
	case f.cfg.Carrier == "ws":
		if f.unwrap(s.owner, b) {
			f.flush(s.owner)
		}
	default:
		f.echoed(s.owner, b)
	}
}

// broken gives up those whose socket is: the server is not there any more.
func (f *Fleet) broken(s *socket, err error) {
	f.closeSocket(s)
	for i := range f.players {
		if p := &f.players[i]; p.sock == s {
			f.dropped(p, err)
		}
	}
}

// drops is the lottery of Config.Loss.
func (f *Fleet) drops() bool {
	return f.cfg.Loss > 0 && !f.streams && f.lottery.Float64() < f.cfg.Loss
}

// conversation takes one KCP datagram.
func (f *Fleet) conversation(s *socket, b []byte) {
	if _, t, ok := seal.Parse(b); ok && t == seal.TypeReset {
		return // of a link that the server has left: silence tells as much, a little later
	}
	p := s.owner
	if p == nil {
		conv, ok := kcp.ParseConv(b)
		if index := int(conv & maxIndex); ok && index > 0 && index <= len(f.players) {
			p = &f.players[index-1]
		}
	}
	switch conv, ok := kcp.ParseConv(b); {
	case p == nil || !ok:
		f.wrong(p, errors.New("a datagram of no conversation"))
		return
	case p.state == isGone || !p.linked || conv != p.kcp.Conv():
		return // for a link that is no more
	}
	f.input(p, b)
}

// input takes the KCP segments of one datagram.
func (f *Fleet) input(p *player, b []byte) {
	if len(b) > 0 {
		if err := p.kcp.Input(f.now, b); err != nil {
			f.wrong(p, err)
			return
		}
	}
	for b := p.kcp.Peek(); len(b) > 0; b = p.kcp.Peek() {
		if !f.stream(p, b) {
			return
		}
		p.kcp.Discard(len(b))
	}
	f.flush(p)
}

// echoed takes one bare datagram. One that was sent twice comes back twice.
func (f *Fleet) echoed(p *player, b []byte) {
	if p.answered < p.asked && string(b) == string(f.reply(p, p.answered)) {
		p.tries = 0
		f.answer(p)
		f.schedule(p)
	}
}

// datagram sends one. A socket that takes no more has lost it.
func (f *Fleet) datagram(p *player, b []byte) {
	if !f.drops() {
		_, _ = write(p.sock.fd, b)
	}
}

// flush sends what p has to say.
func (f *Fleet) flush(p *player) {
	if p.state == isGone || p.state == isNew {
		return
	}
	if !p.linked {
		f.schedule(p)
		return
	}
	switch f.cfg.Carrier {
	case "kcp":
		if !f.flushSealed(p) {
			return
		}
	case "plain-kcp":
		if p.session != nil {
			f.out = p.session.Output(f.out[:0], f.now, p.kcp.Room())
			if err := p.kcp.Write(f.out); err != nil {
				f.lose(p, err)
				return
			}
		}
		for {
			f.out = p.kcp.Output(f.now, f.out[:0], maxDatagram)
			if len(f.out) == 0 {
				break
			}
			f.datagram(p, f.out)
		}
		if err := p.kcp.Err(); err != nil {
			f.dropped(p, err)
			return
		}
	case "tcp", "stcp", "ws":
		if p.session != nil {
			f.out = p.session.Output(f.out[:0], f.now, max(64<<10-len(p.unsent), 0))
			f.write(p, f.out)
		}
		f.push(p)
	}
	f.schedule(p)
}

// write puts b behind what p's stream has not taken yet. On a WebSocket it is
// a message.
func (f *Fleet) write(p *player, b []byte) {
	switch {
	case f.cfg.Carrier == "ws" && len(b) > 0:
		p.unsent = appendMessageHead(p.unsent, len(b))
	case f.cfg.Carrier == "stcp" && len(b) > 0:
		p.unsent = p.stcp.appendRecord(p.unsent, b)
		return
	}
	p.unsent = append(p.unsent, b...)
}

// push writes to p's stream what it takes.
func (f *Fleet) push(p *player) {
	if p.ws.asked || !p.stcp.up() {
		return // until the server has answered
	}
	if len(p.unsent) > 0 {
		n, err := write(p.sock.fd, p.unsent)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			f.dropped(p, err)
			return
		}
		p.unsent = append(p.unsent[:0], p.unsent[n:]...)
	}
	if full := len(p.unsent) > 0; full != p.writing {
		p.writing = full
		events := uint32(unix.EPOLLIN)
		if full {
			events |= unix.EPOLLOUT
		}
		if err := f.watch(p.sock.fd, p.index, unix.EPOLL_CTL_MOD, events); err != nil {
			f.lose(p, err)
		}
	}
}

// schedule makes sure that the wheel comes in time. That it comes too early
// is corrected when it does.
func (f *Fleet) schedule(p *player) {
	if at := f.deadline(p); at < p.wake {
		p.wake = at
		f.wheel.Set(p.handle, at)
	}
}

func (f *Fleet) deadline(p *player) time.Duration {
	if p.state == isGone {
		return session.Never
	}
	at := session.Never
	switch {
	case f.shaking(p):
		at = f.shakeDue(p)
	case !f.streams && f.cfg.Carrier != "udp" && p.linked:
		at = p.kcp.NextDeadline(f.now)
	case f.cfg.Carrier == "udp" && p.answered < p.asked:
		at = f.request(p, p.answered).due + time.Duration(1+p.tries)*resendAfter
	}
	if p.session != nil {
		at = min(at, p.session.Due())
	}
	return at
}

// visit is the wheel's: p may have something to do.
func (f *Fleet) visit(p *player, _ time.Duration) time.Duration {
	if f.visits++; f.visits%256 == 0 {
		f.poll(0) // or answers wait for all whose timers are due
		f.clock()
		f.pace()
	}
	p.wake = 0 // nothing that happens now moves the entry
	switch {
	case p.state == isGone:
	case f.shaking(p) && f.shakeDue(p) <= f.now:
		f.shakeAgain(p)
	case p.session != nil && p.session.Due() <= f.now:
		f.check(p)
	case f.cfg.Carrier == "udp" && f.deadline(p) <= f.now:
		p.tries++
		f.resent++
		f.datagram(p, f.payload(p, p.answered))
	}
	f.flush(p)
	p.wake = f.deadline(p)
	return p.wake
}
