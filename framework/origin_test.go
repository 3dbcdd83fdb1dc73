// SPDX-License-Identifier: MIT

package framework

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

// TestAddressesThatCountTogether: what shares and bounds by address go by.
func TestAddressesThatCountTogether(t *testing.T) {
	s, err := New(Config{TCP: "127.0.0.1:0", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{
		"192.0.2.1":        "192.0.2.1",
		"::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8::1":      "2001:db8::",
		"2001:db8::2%eth0": "2001:db8::", // of one /64
		"2001:db8:0:1::3":  "2001:db8:0:1::",
		"127.0.0.1":        "", // this machine
		"::1":              "",
		"203.0.113.7":      "", // a proxy stands for many
	} {
		got := s.originOf(netip.MustParseAddr(from))
		if w, _ := netip.ParseAddr(want); got != w {
			t.Errorf("%s counts as %v, want %v", from, got, w)
		}
	}
}

// TestProxyOnThisMachineIsNoticed, once, where Config does not name it.
func TestProxyOnThisMachineIsNoticed(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		name    string
		trusted []netip.Prefix
		from    netip.Addr
		opened  int
		want    int
	}{
		{"a few", nil, loopback, manyHere - 1, 0},
		{"many", nil, loopback, 3 * manyHere, 1},
		{"from the network", nil, netip.MustParseAddr("192.0.2.1"), 3 * manyHere, 0},
		{"named", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, loopback, 3 * manyHere, 0},
	} {
		var out bytes.Buffer
		s, err := New(Config{TCP: "127.0.0.1:0", TrustedProxies: c.trusted, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		for range c.opened {
			s.joinOriginLocked(new(Player), s.originOf(c.from))
		}
		s.mu.Unlock()
		if got := strings.Count(out.String(), "TrustedProxies"); got != c.want {
			t.Errorf("%s: %d lines, want %d: %s", c.name, got, c.want, &out)
		}
	}
}
