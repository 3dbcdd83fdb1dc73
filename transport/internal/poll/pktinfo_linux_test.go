// SPDX-License-Identifier: MIT

package poll

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestControlMessages: what the kernel says, and what it should not.
func TestControlMessages(t *testing.T) {
	message := func(size int, level, kind int32, data ...byte) []byte {
		h := unix.Cmsghdr{Level: level, Type: kind}
		h.SetLen(size)
		b := make([]byte, unix.SizeofCmsghdr)
		if unix.SizeofPtr == 8 {
			binary.NativeEndian.PutUint64(b, uint64(h.Len))
		} else {
			binary.NativeEndian.PutUint32(b, uint32(h.Len))
		}
		binary.NativeEndian.PutUint32(b[unix.SizeofPtr:], uint32(level))
		binary.NativeEndian.PutUint32(b[unix.SizeofPtr+4:], uint32(kind))
		return append(b, data...)
	}
	const head = unix.SizeofCmsghdr
	four := []byte{1, 0, 0, 0, 127, 0, 0, 5, 127, 0, 0, 9}
	six := append(append([]byte{}, netip.MustParseAddr("2001:db8::5").AsSlice()...), 1, 0, 0, 0)
	mapped := append(append([]byte{}, netip.MustParseAddr("::ffff:127.0.0.5").AsSlice()...), 1, 0, 0, 0)
	other := message(head+8, unix.SOL_SOCKET, unix.SCM_TIMESTAMP, make([]byte, 8)...)
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"none", nil, ""},
		{"IPv4", message(head+12, unix.IPPROTO_IP, unix.IP_PKTINFO, four...), "127.0.0.5"},
		{"IPv6", message(head+20, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, six...), "2001:db8::5"},
		{"mapped", message(head+20, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, mapped...), "127.0.0.5"},
		{"behind another", append(bytes.Clone(other), message(head+12, unix.IPPROTO_IP, unix.IP_PKTINFO, four...)...), "127.0.0.5"},
		{"another", other, ""},
		{"half a header", other[:head/2], ""},
		{"no length", message(0, unix.IPPROTO_IP, unix.IP_PKTINFO, four...), ""},
		{"shorter than its header", message(head-1, unix.IPPROTO_IP, unix.IP_PKTINFO, four...), ""},
		{"longer than all", message(head+13, unix.IPPROTO_IP, unix.IP_PKTINFO, four...), ""},
		{"negative", message(-1, unix.IPPROTO_IP, unix.IP_PKTINFO, four...), ""},
		{"cut", message(head+8, unix.IPPROTO_IP, unix.IP_PKTINFO, four[:8]...), ""},
		{"IPv6, cut", message(head+16, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, six[:16]...), ""},
		{"no address", message(head+12, unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 12)...), ""},
		{"multicast", message(head+20, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append([]byte{0xff, 2}, make([]byte, 18)...)...), ""},
	} {
		want := netip.Addr{}
		if c.want != "" {
			want = netip.MustParseAddr(c.want)
		}
		if got := parseLocal(c.b); got != want {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
	for _, s := range []struct {
		a  string
		v6 bool
	}{{"127.0.0.5", false}, {"127.0.0.5", true}, {"2001:db8::5", true}} {
		var ctl control
		putLocal(&ctl, netip.MustParseAddr(s.a), s.v6)
		if got := parseLocal(ctl.bytes()[:controlSize(s.v6)]); got.String() != s.a {
			t.Errorf("%s became %v", s.a, got)
		}
	}
}
