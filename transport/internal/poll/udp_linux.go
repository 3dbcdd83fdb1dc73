// SPDX-License-Identifier: MIT

package poll

import (
	"context"
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

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

const (
	// oneLoop: Linux spreads datagrams and connections over sockets that
	// share a port.
	oneLoop    = false
	recvRounds = 4 // batches in a row before other events have their turn
	busyBatch  = 8 // datagrams that take long enough to serve for more to come meanwhile
)

// hermitAddr is what an engine listens on: gnet runs none without a listener,
// and one for TCP could end it.
const hermitAddr = "udp4://127.0.0.1:0"

// hermit connects the socket of hermitAddr with itself: it takes no other
// datagrams.
func (g *loop) hermit(eng gnet.Engine) error {
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

// udpSocket reads and writes a datagram socket in batches. Owned by the loop.
type udpSocket struct {
	g   *loop
	fd  int
	v6  bool // an IPv6 socket, dual-stack or not: addresses have 28 bytes
	any bool // a wildcard listener: the kernel tells what address a datagram came to

	heard     netip.Addr // what the datagram before came to
	heardName backend.Local

	in     [backend.Slots]mmsghdr
	inIov  [backend.Slots]unix.Iovec
	inName [backend.Slots]unix.RawSockaddrInet6 // the larger of the two
	inCtl  [backend.Slots]control
	inBox  backend.Inbox

	out      [backend.Slots]mmsghdr
	outIov   [backend.Slots]unix.Iovec // by datagram
	outName  [backend.Slots]unix.RawSockaddrInet6
	outCtl   []control // by name of the local address, as far as they were needed
	bursts   bool      // it takes some for one message
	burstCtl [backend.Slots]control
}

func openUDP(g *loop, number int) (*udpSocket, error) {
	network, address := g.r.listen(number, "udp")
	fd, err := bindUDP(network, address)
	if err != nil {
		return nil, err
	}
	u := &udpSocket{g: g, fd: fd, any: g.r.addrs[number].Addr().IsUnspecified()}
	u.inBox.Init(number)
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if u.v6 = family == unix.AF_INET6; err == nil && u.any {
		err = askLocal(fd, u.v6)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	for i := range u.in {
		u.inIov[i].Base = &u.inBox.Slot(i)[0]
		u.inIov[i].SetLen(backend.MaxDatagram)
		u.in[i].hdr.Iov = &u.inIov[i]
		u.in[i].hdr.SetIovlen(1)
		u.in[i].hdr.Name = (*byte)(unsafe.Pointer(&u.inName[i]))
		if u.any {
			u.in[i].hdr.Control = &u.inCtl[i].bytes()[0]
		}
		u.empty(i)
	}
	for i := range u.out {
		u.out[i].hdr.Name = (*byte)(unsafe.Pointer(&u.outName[i]))
	}
	u.bursts = knowsBursts()
	u.buffers()
	if g.r.Listeners[number].Whole {
		u.dontFragment()
	}
	return u, nil
}

// bindUDP opens a socket as net does, which knows dual-stack ones, and takes it
// away from Go's poller: that would wake up for each datagram that has left.
func bindUDP(network, address string) (fd int, err error) {
	lc := net.ListenConfig{Control: sharePort}
	conn, err := lc.ListenPacket(context.Background(), network, address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(from uintptr) {
		fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, errors.Join(failed, err)
}

// buffers makes the kernel's buffers as large as it lets us.
func (u *udpSocket) buffers() {
	want := u.g.r.SocketBuffer
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
		if err == nil && got < min(want, smallSocketBuffer) && u.g.sink.Index() == 0 {
			u.g.r.Log.Warn("transport: small socket buffer: bursts of players will be lost; raise net.core.rmem_max and wmem_max",
				slog.String("option", o.name), slog.Int("allowed", got), slog.Int("wanted", want))
		}
	}
}

// dontFragment makes a datagram that a path does not carry a lost one, so that
// links find out what theirs does. What ICMP says of it is not believed: any
// host can say it.
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
	n, err := mmsg(unix.SYS_RECVMMSG, u.fd, &u.in[0], len(u.in))
	if err != nil {
		n = 0 // EAGAIN: empty. Anything else concerns one datagram, which is gone.
	}
	b := &u.inBox
	for i := range n {
		b.From[i], b.To[i], b.Size[i] = nameAddr(&u.inName[i]), u.local(i), int(u.in[i].n)
		if u.in[i].hdr.Flags&unix.MSG_TRUNC != 0 {
			b.Size[i] = backend.MaxDatagram + 1
		}
		u.empty(i)
	}
	b.N, b.More = n, n == len(u.in)
	u.g.came += uint64(n)
	u.g.sink.Received(b)
	return b.More
}

// empty makes slot i ready for a datagram. The kernel changes each slot that it fills.
func (u *udpSocket) empty(i int) {
	h := &u.in[i].hdr
	h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
	if u.any {
		h.SetControllen(controlSpace)
	}
}

// local names the address that datagram i came to.
func (u *udpSocket) local(i int) backend.Local {
	if !u.any || u.in[i].hdr.Flags&unix.MSG_CTRUNC != 0 {
		return 0
	}
	a := parseLocal(u.inCtl[i].bytes()[:min(int(u.in[i].hdr.Controllen), controlSpace)])
	if !a.IsValid() {
		return 0
	}
	if a == u.heard {
		return u.heardName
	}
	name, ok := u.g.r.Locals.Name(a)
	if !ok {
		u.g.count.ManyLocals.Add(1)
		return 0
	}
	u.heard, u.heardName = a, name
	return name
}

// from makes message i come from the address of a name.
func (u *udpSocket) from(i int, name backend.Local) {
	h := &u.out[i].hdr
	if h.Control = nil; name == 0 || !u.any {
		h.SetControllen(0)
		return
	}
	for len(u.outCtl) <= int(name) {
		u.outCtl = append(u.outCtl, control{})
	}
	c := &u.outCtl[name]
	if *c == (control{}) {
		putLocal(c, u.g.r.Locals.Addr(name), u.v6)
	}
	h.Control = &c.bytes()[0]
	h.SetControllen(controlSize(u.v6))
}

// cut makes the kernel cut message i into datagrams of size bytes.
func (u *udpSocket) cut(i, size int) {
	h, c := &u.out[i].hdr, &u.burstCtl[i]
	if h.Control != nil {
		*c = *(*control)(unsafe.Pointer(h.Control))
	}
	h.Control = &c.bytes()[0]
	h.SetControllen(putSegment(c, int(h.Controllen), size))
}

// knowsBursts reports whether the kernel has UDP_SEGMENT, and had it for a while: Linux 4.18
// was the first.
func knowsBursts() bool {
	var name unix.Utsname
	_ = unix.Uname(&name)
	major, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), ".")
	n, _ := strconv.Atoi(major)
	return n >= 5
}

// fill makes messages of what b has from its head on, and returns how many. In bursts,
// datagrams of one size in a row to one address are one message: that is half the work
// for each of four.
func (u *udpSocket) fill(b *backend.Outbox, bursts bool) (n int) {
	for i := b.Head; i < b.N; n++ {
		end := i + 1
		if bursts {
			end = b.Burst(i)
		}
		h := &u.out[n].hdr
		h.Iov = &u.outIov[i]
		h.SetIovlen(end - i)
		h.Namelen = setName(&u.outName[n], b.To[i], u.v6)
		u.from(n, b.From[i])
		if end > i+1 {
			u.cut(n, len(b.Datagram(i)))
		}
		for ; i < end; i++ {
			d := b.Datagram(i)
			u.outIov[i].Base = &d[0]
			u.outIov[i].SetLen(len(d))
		}
	}
	return n
}

// send sends from the head of b. It returns false when the socket takes no more.
func (u *udpSocket) send(b *backend.Outbox) bool {
	for i, n := 0, u.fill(b, u.bursts); i < n; {
		sent, err := mmsg(unix.SYS_SENDMMSG, u.fd, &u.out[i], n-i)
		h := &u.out[i].hdr
		switch {
		case err == nil:
			head := b.Head
			for ; sent > 0; sent-- {
				b.Head += int(u.out[i].hdr.Iovlen)
				i++
			}
			u.g.count.DatagramsOut += uint64(b.Head - head)
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.EINTR):
		case h.Iovlen > 1:
			// Its path takes no bursts, or none of this size: one by one. EIO is the driver's.
			u.bursts = u.bursts && !errors.Is(err, unix.EIO)
			i, n = 0, u.fill(b, false)
		case h.Control != nil:
			// Perhaps this machine has the address no more, or it was a broadcast's.
			u.from(i, 0)
		default:
			// It concerns the first: no route, a firewall, a path too narrow.
			// KCP sends its content again, and the others must not wait.
			b.Head++
			i++
			u.g.count.SendFailed.Add(1)
		}
	}
	return true
}

// mmsg makes a system call that does not wait, so Go's scheduler need not know of
// it: to tell it costs more, and on a server at rest wakes its monitor thread,
// which looks every 20 us then. A stop of the world waits for one call at most.
func mmsg(trap uintptr, fd int, m *mmsghdr, n int) (int, error) {
	r, _, e := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(m)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
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
