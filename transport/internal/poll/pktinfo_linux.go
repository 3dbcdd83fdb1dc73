// SPDX-License-Identifier: MIT

package poll

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// controlSpace has room for one control message, of either family: a datagram's
	// local address.
	controlSpace = unix.SizeofCmsghdr + (unix.SizeofInet6Pktinfo+7)&^7
	segmentSpace = unix.SizeofCmsghdr + 8 // for one that says how to cut a burst
)

// control is memory for both, aligned as the kernel wants it.
type control [(controlSpace + segmentSpace + 7) / 8]uint64

func (c *control) bytes() []byte {
	return (*[unsafe.Sizeof(control{})]byte)(unsafe.Pointer(c))[:]
}

// askLocal makes the kernel tell what address each datagram came to. A
// dual-stack socket tells an IPv4 address as a mapped one.
func askLocal(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// parseLocal returns the local address that control messages tell, the invalid
// one if they tell none.
func parseLocal(b []byte) netip.Addr {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(b)) {
			break
		}
		data := b[unix.SizeofCmsghdr:h.Len]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// The second of its three fields: what to answer a broadcast from, too.
			return usable(netip.AddrFrom4([4]byte(data[4:8])))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return usable(netip.AddrFrom16([16]byte(data[:16])).Unmap())
		}
		b = b[min(unix.CmsgSpace(len(data)), len(b)):]
	}
	return netip.Addr{}
}

// usable returns a if datagrams may come from it.
func usable(a netip.Addr) netip.Addr {
	if a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}
	}
	return a
}

// controlSize is the length of what putLocal makes. Another message may follow it.
func controlSize(v6 bool) int {
	if v6 {
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
}

// putLocal makes a control message that sends a datagram from a, on a socket of
// the given family.
func putLocal(c *control, a netip.Addr, v6 bool) {
	if v6 {
		copy(c.bytes(), unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()}))
	} else {
		copy(c.bytes(), unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()}))
	}
}

// putSegment makes a control message at an offset that has a burst cut into datagrams of
// size bytes, and returns where it ends.
func putSegment(c *control, at, size int) (end int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.bytes()[at]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(c.bytes()[at+unix.SizeofCmsghdr:], uint16(size))
	return at + unix.CmsgLen(2)
}
