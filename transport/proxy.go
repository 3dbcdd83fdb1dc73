// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A proxy in between has the player's address and we have the proxy's. It
// tells the player's in a header of the PROXY protocol in front of everything
// (version 2, or 1), or, being one that reads HTTP, in X-Forwarded-For.
// Any peer can say either, so only Config.TrustedProxies are believed: SPEC 8.

const (
	// maxProxyHeader is the longest header of the PROXY protocol that is
	// taken. The addresses need 52 bytes; the rest is what proxies like to
	// tell about TLS and clouds, and is skipped.
	maxProxyHeader = 2048
	// maxProxyLine is how long a header of version 1 may be, by its specification.
	maxProxyLine = 107

	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = len(proxySignature) + 4
	proxyWord      = "PROXY "
)

var (
	errNoProxy  = errors.New("transport: no PROXY header")
	errBadProxy = errors.New("transport: malformed PROXY header")
)

// parseProxy reads the PROXY header at the start of b and returns its size: 0
// while it is not all here, errNoProxy if b begins with none. The address is
// the zero AddrPort where the proxy speaks for itself, as in a health check.
func parseProxy(b []byte) (from netip.AddrPort, size int, err error) {
	switch {
	case begins(b, proxySignature):
		return parseProxy2(b)
	case begins(b, proxyWord):
		return parseProxy1(b)
	}
	return netip.AddrPort{}, 0, errNoProxy
}

// begins reports whether b begins with s, or is the beginning of s.
func begins(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

func parseProxy2(b []byte) (from netip.AddrPort, size int, err error) {
	if len(b) < proxyFixed {
		return from, 0, nil
	}
	head, addrs := b[len(proxySignature):proxyFixed], b[proxyFixed:]
	n := int(binary.BigEndian.Uint16(head[2:]))
	const local, proxied = 0x20, 0x21
	var ip, ports int // where they are: the source's come first
	switch family := head[1]; {
	case head[0] == local, head[0] == proxied && family == 0:
	case head[0] == proxied && family == 0x11: // TCP over IPv4
		ip, ports = 4, 8
	case head[0] == proxied && family == 0x21: // TCP over IPv6
		ip, ports = 16, 32
	default:
		return from, 0, errBadProxy
	}
	if proxyFixed+n > maxProxyHeader || ip > 0 && n < ports+4 {
		return from, 0, errBadProxy
	}
	if len(addrs) < n {
		return from, 0, nil
	}
	if ip > 0 {
		addr, _ := netip.AddrFromSlice(addrs[:ip])
		from = netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(addrs[ports:]))
	}
	return from, proxyFixed + n, nil
}

// parseProxy1 reads "PROXY TCP4 from to fromport toport" and a line end.
func parseProxy1(b []byte) (from netip.AddrPort, size int, err error) {
	end := bytes.IndexByte(b[:min(len(b), maxProxyLine)], '\n')
	if end < 0 {
		if len(b) >= maxProxyLine {
			return from, 0, errBadProxy
		}
		return from, 0, nil
	}
	line, ok := bytes.CutSuffix(b[:end], []byte("\r"))
	words := strings.Split(string(line), " ")
	switch {
	case ok && words[1] == "UNKNOWN":
		return from, end + 1, nil
	case !ok || len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6":
		return from, 0, errBadProxy
	}
	for i := range 2 {
		addr, err := netip.ParseAddr(words[2+i])
		port, perr := strconv.ParseUint(words[4+i], 10, 16)
		if err != nil || perr != nil || addr.Zone() != "" || addr.Is4() != (words[1] == "TCP4") {
			return netip.AddrPort{}, 0, errBadProxy
		}
		if i == 0 {
			from = netip.AddrPortFrom(addr.Unmap(), uint16(port))
		}
	}
	return from, end + 1, nil
}

// trusts reports whether addr is a proxy's that is believed.
func (c *Config) trusts(addr netip.Addr) bool {
	addr = addr.WithZone("") // no prefix contains an address with one
	return slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// forwarded follows the hops of X-Forwarded-For headers from the last one on,
// as long as the host that told of a hop is trusted. What the player itself wrote
// there is left of that and never looked at.
func (c *Config) forwarded(from netip.AddrPort, headers []string) netip.AddrPort {
	for _, h := range slices.Backward(headers) {
		for more := true; more; {
			if !c.trusts(from.Addr()) {
				return from
			}
			hop := h
			if i := strings.LastIndexByte(h, ','); i >= 0 {
				h, hop = h[:i], h[i+1:]
			} else {
				more = false
			}
			at, ok := parseHop(strings.TrimSpace(hop))
			if !ok {
				return from
			}
			from = at
		}
	}
	return from
}

// parseHop reads an address as proxies write it, with a port or without.
func parseHop(s string) (netip.AddrPort, bool) {
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
		if err != nil {
			return netip.AddrPort{}, false
		}
		at = netip.AddrPortFrom(addr, 0)
	}
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), true
}
