// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

const (
	// oneLoop: Linux spreads datagrams and connections over sockets that
	// share a port.
	oneLoop = false
	// drainOnWake: gnet tells of datagrams.
	drainOnWake = false

	recvSlots  = 64
	recvRounds = 4 // batches in a row before other events have their turn
	busyBatch  = 8 // datagrams that take long enough to serve for more to come meanwhile
)

// hermitAddr is what an engine listens on that has no datagram socket to serve:
// gnet runs none without a listener, and one for TCP could end it.
const hermitAddr = "udp4://127.0.0.1:0"

func gnetAddrs(addrs []string) []string {
	if len(addrs) == 0 {
		return []string{hermitAddr}
	}
	return addrs
}

// hermit connects the socket of hermitAddr, if that is used, with itself: it
// takes datagrams from nobody else.
func (g *gnetLoop) hermit(eng gnet.Engine) error {
	if g.r.udp != [wires]string{} {
		return nil
	}
	fd, err := eng.DupListener("udp", strings.TrimPrefix(hermitAddr, "udp4://"))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	self, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	return os.NewSyscallError("connect", unix.Connect(fd, self))
}

// sharePort lets the listeners of all loops, and only those of this user, have
// one port.
func sharePort(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	})
	return errors.Join(failed, err)
}

// mmsghdr is struct mmsghdr of the kernel.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// udpSocket reads and writes the datagram socket of a gnet engine in batches.
// gnet reads one datagram per event; the rest is taken here, on a duplicate of
// the descriptor that is ours to close. Owned by the loop.
type udpSocket struct {
	l     *Loop
	wire  wire
	fd    int
	local net.Addr // what gnet calls the socket, nil until it is known
	v6    bool     // an IPv6 socket, dual-stack or not: addresses have 28 bytes
	lone  bool     // nothing else is served

	coalescer

	in     [recvSlots]mmsghdr
	inIov  [recvSlots]unix.Iovec
	inName [recvSlots]unix.RawSockaddrInet6 // the larger of the two
	inBuf  []byte

	out     [outSlots]mmsghdr
	outIov  [outSlots]unix.Iovec
	outName [outSlots]unix.RawSockaddrInet6
}

func openUDP(g *gnetLoop, eng gnet.Engine, w wire) (*udpSocket, error) {
	_, address, _ := strings.Cut(g.r.udp[w], "://")
	fd, err := eng.DupListener("udp", address)
	if err != nil {
		return nil, err
	}
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	u := &udpSocket{l: g.l, wire: w, fd: fd, v6: family == unix.AF_INET6, lone: g.r.udp[1-w] == "" && g.r.tcp == "" && g.r.ws == "", inBuf: make([]byte, recvSlots*maxDatagram)}
	for i := range u.in {
		u.inIov[i].Base = &u.inBuf[i*maxDatagram]
		u.inIov[i].SetLen(maxDatagram)
		u.in[i].hdr.Iov = &u.inIov[i]
		u.in[i].hdr.SetIovlen(1)
		u.in[i].hdr.Name = (*byte)(unsafe.Pointer(&u.inName[i]))
	}
	for i := range u.out {
		u.out[i].hdr.Iov = &u.outIov[i]
		u.out[i].hdr.SetIovlen(1)
		u.out[i].hdr.Name = (*byte)(unsafe.Pointer(&u.outName[i]))
	}
	u.buffers(g.r.t)
	if w == sealedWire {
		u.dontFragment()
	}
	return u, nil
}

// buffers makes the kernel's buffers as large as it lets us.
func (u *udpSocket) buffers(t *Transport) {
	want := t.cfg.socketBuffer()
	for _, o := range []struct {
		name          string
		option, force int
	}{
		{"SO_RCVBUF", unix.SO_RCVBUF, unix.SO_RCVBUFFORCE},
		{"SO_SNDBUF", unix.SO_SNDBUF, unix.SO_SNDBUFFORCE},
	} {
		// Beyond the system's limit only a privileged process gets any more.
		if unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, o.force, want) != nil {
			_ = unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, o.option, want)
		}
		got, err := unix.GetsockoptInt(u.fd, unix.SOL_SOCKET, o.option)
		got /= 2 // the kernel counts its own overhead
		if err == nil && got < min(want, smallSocketBuffer) && u.l.index == 0 {
			t.log.Warn("transport: small socket buffer: bursts of players will be lost; raise net.core.rmem_max and wmem_max",
				slog.String("option", o.name), slog.Int("allowed", got), slog.Int("wanted", want))
		}
	}
}

// dontFragment makes a datagram that a path does not carry a lost one, so that
// links find out what theirs does. What ICMP says of it is not believed: anybody
// can say it.
func (u *udpSocket) dontFragment() {
	_ = unix.SetsockoptInt(u.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	if u.v6 {
		_ = unix.SetsockoptInt(u.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
	}
}

func (u *udpSocket) close() {
	if u != nil {
		_ = unix.Close(u.fd)
	}
}

// traffic takes the datagram that gnet has read, and those behind it.
func (u *udpSocket) traffic(c gnet.Conn) {
	l := u.l
	u.coalesce()
	before := l.stats.datagramsIn
	l.begin()
	b, err := c.Peek(-1)
	from, ok := addrPort(c.RemoteAddr())
	if err == nil && ok {
		l.datagram(u.wire, numericZone(from), b)
	}
	full := u.recv()
	l.end()
	for n := 1; ; n++ {
		for k := 1; full && k < recvRounds && !l.ended(); k++ {
			full = u.batch()
		}
		if full {
			return
		}
		came := l.stats.datagramsIn - before
		u.emptied(l.now, l.t.cfg.coalesceDelay(), came)
		if came == 0 || !u.stays(n, came) {
			return
		}
		u.coalesce()
		before = l.stats.datagramsIn
		full = u.batch()
	}
}

// batch is a batch of what one system call takes.
func (u *udpSocket) batch() (full bool) {
	u.l.begin()
	full = u.recv()
	u.l.end()
	return full
}

// coalesce lets datagrams that arrive close together share one wake-up. Any other
// wake-up ends the wait, so nothing that is sent, and no timer, is late because of
// it.
func (u *udpSocket) coalesce() {
	if wait := u.wait(u.l.t.now()); wait > 0 {
		u.l.queue.park(wait)
	}
}

// stays reports whether to look again here, for the n-th time, without asking
// gnet, which makes five objects of every first datagram: where more is likely,
// and nothing but datagrams of this socket, or a wake-up, can come to the loop.
func (u *udpSocket) stays(n int, came uint64) bool {
	return u.lone && !u.l.ended() &&
		(u.on && n < coalesceStay || came >= busyBatch && n < recvRounds)
}

// drain takes what waits, within the caller's batch.
func (u *udpSocket) drain() {
	for range recvRounds {
		if !u.recv() {
			return
		}
	}
}

// recv hands up one system call's worth of datagrams. It returns whether
// there may be more.
func (u *udpSocket) recv() (full bool) {
	for i := range u.in {
		u.in[i].hdr.Namelen = unix.SizeofSockaddrInet6
		u.in[i].hdr.Flags = 0
	}
	n, err := mmsg(unix.SYS_RECVMMSG, u.fd, &u.in[0], recvSlots)
	if err != nil {
		// EAGAIN: empty. Anything else concerns one datagram, which is gone.
		u.l.received(true)
		return false
	}
	l := u.l
	for i := range n {
		m := &u.in[i]
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			l.truncated()
			continue
		}
		l.datagram(u.wire, nameAddr(&u.inName[i]), u.inBuf[i*maxDatagram:i*maxDatagram+int(m.n)])
	}
	l.received(n < recvSlots)
	return n == recvSlots
}

// send sends from the head of b. It returns false when the socket takes no more.
func (u *udpSocket) send(b *outbox) bool {
	for i := b.head; i < b.n; i++ {
		d := b.datagram(i)
		u.outIov[i].Base = &d[0]
		u.outIov[i].SetLen(len(d))
		u.out[i].hdr.Namelen = setName(&u.outName[i], b.to[i], u.v6)
	}
	for b.head < b.n {
		n, err := mmsg(unix.SYS_SENDMMSG, u.fd, &u.out[b.head], b.n-b.head)
		switch {
		case err == nil:
			b.head += n
			u.l.stats.datagramsOut += uint64(n)
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.EINTR):
		default:
			// It concerns the first: no route, a firewall, a path too narrow.
			// KCP sends its content again, and the others must not wait.
			b.head++
			u.l.stats.sendFailed.Add(1)
		}
	}
	return true
}

func mmsg(trap uintptr, fd int, m *mmsghdr, n int) (int, error) {
	r, _, e := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(m)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(r), nil
}

// nameAddr reads a socket address of either family.
func nameAddr(name *unix.RawSockaddrInet6) netip.AddrPort {
	if name.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), ntohs(four.Port))
	}
	ip := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && ip.IsLinkLocalUnicast() {
		ip = ip.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(ip, ntohs(name.Port))
}

// setName writes to for a socket of the given family and returns its length.
func setName(name *unix.RawSockaddrInet6, to netip.AddrPort, v6 bool) uint32 {
	if !v6 {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*four = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: ntohs(to.Port()), Addr: to.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: ntohs(to.Port()), Addr: to.Addr().As16()}
	if zone := to.Addr().Zone(); zone != "" {
		scope, _ := strconv.ParseUint(zone, 10, 32)
		name.Scope_id = uint32(scope)
	}
	return unix.SizeofSockaddrInet6
}

// ntohs turns a port from network order into ours, or back.
func ntohs(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// numericZone gives a link-local address of gnet, which names the interface,
// the form that the addresses here have.
func numericZone(a netip.AddrPort) netip.AddrPort {
	zone := a.Addr().Zone()
	if zone == "" {
		return a
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		zone = strconv.Itoa(i.Index)
	}
	return netip.AddrPortFrom(a.Addr().WithZone(zone), a.Port())
}

// fileLimit returns the first descriptor that is not for players, and how many
// those from there on are. Go has raised the soft limit to the hard one when the
// process started.
func fileLimit() (limit, reserve int, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, err
	}
	limit = int(min(r.Cur, 1<<30))
	reserve = min(256, limit/4)
	if limit -= reserve; limit < 8 {
		return 0, 0, fmt.Errorf("only %d open files are allowed", r.Cur)
	}
	return limit, reserve, nil
}
