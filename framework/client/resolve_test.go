// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func ips(list string) (all []netip.Addr) {
	for _, s := range strings.Fields(list) {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func TestAddressesOfANameAreArranged(t *testing.T) {
	ip := netip.MustParseAddr
	for _, c := range []struct {
		name, in, want string
		r              record
	}{
		{name: "one", in: "10.0.0.1", want: "10.0.0.1"},
		{name: "families take turns", in: "fd00::1 fd00::2 fd00::3 10.0.0.1 10.0.0.2", want: "fd00::1 10.0.0.1 fd00::2 10.0.0.2 fd00::3"},
		{name: "the resolver's first choice stays first", in: "10.0.0.1 10.0.0.2 fd00::1", want: "10.0.0.1 fd00::1 10.0.0.2"},
		{name: "mapped is the same", in: "::ffff:10.0.0.1 10.0.0.1 10.0.0.2", want: "10.0.0.1 10.0.0.2"},
		{name: "what worked", in: "fd00::1 10.0.0.1 10.0.0.2", want: "10.0.0.2 fd00::1 10.0.0.1", r: record{good: ip("10.0.0.2")}},
		{name: "what did not", in: "fd00::1 10.0.0.1 10.0.0.2", want: "10.0.0.1 10.0.0.2 fd00::1", r: record{bad: ip("fd00::1")}},
		{name: "what is gone from the name", in: "10.0.0.1", want: "10.0.0.1", r: record{good: ip("10.0.0.2"), bad: ip("10.0.0.3")}},
		{name: "many", in: "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9",
			want: "10.0.0.9 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7", r: record{good: ip("10.0.0.9")}},
	} {
		if got := fmt.Sprint(arrange(ips(c.in), c.r)); got != "["+c.want+"]" {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Each address is a port here; its behaviour is its number: what it answers after
// so many milliseconds, and negative: that it fails then.
func TestFirstAddressThatAnswers(t *testing.T) {
	const never = 1 << 30
	for _, c := range []struct {
		name      string
		ms        []int
		want      int // index, -1: none
		after     time.Duration
		opens     int32
		deadlines time.Duration
	}{
		{"the only one", []int{40}, 0, 40 * time.Millisecond, 1, 5 * time.Second},
		{"the first is quick", []int{40, 10}, 0, 40 * time.Millisecond, 1, 5 * time.Second},
		{"the first is dead", []int{never, 40}, 1, headStart + 40*time.Millisecond, 2, 5 * time.Second},
		{"two are dead", []int{never, never, 40}, 2, 2*headStart + 40*time.Millisecond, 3, 5 * time.Second},
		{"the first says no", []int{-20, 40}, 1, 60 * time.Millisecond, 2, 5 * time.Second},
		{"the first is slower", []int{600, 100}, 1, headStart + 100*time.Millisecond, 2, 5 * time.Second},
		{"all say no", []int{-20, -20, -20}, -1, 60 * time.Millisecond, 3, 5 * time.Second},
		{"all are dead", []int{never, never}, -1, 5 * time.Second, 2, 5 * time.Second},
		{"little time", []int{never, never, never, 10}, 3, 310 * time.Millisecond, 4, 500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			var list []netip.AddrPort
			for i := range c.ms {
				list = append(list, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i)))
			}
			var opens, open atomic.Int32
			begin := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), c.deadlines)
			defer cancel()
			got, at, err := first(ctx, list, func(ctx context.Context, a netip.AddrPort) (int, error) {
				opens.Add(1)
				ms := c.ms[a.Port()]
				select {
				case <-time.After(time.Duration(max(ms, -ms)) * time.Millisecond):
				case <-ctx.Done():
					if ms == never {
						return 0, ctx.Err()
					}
				}
				if ms < 0 {
					return 0, errors.New("no")
				}
				open.Add(1)
				return int(a.Port()), nil
			}, func(int) { open.Add(-1) })
			took := time.Since(begin)
			synctest.Wait()
			switch {
			case took != c.after || opens.Load() != c.opens:
				t.Errorf("%s: after %v and %d dials", c.name, took, opens.Load())
			case c.want < 0 && (err == nil || open.Load() != 0):
				t.Errorf("%s: got %v, %d left open", c.name, got, open.Load())
			case c.want >= 0 && (err != nil || got != c.want || int(at.Port()) != c.want || open.Load() != 1):
				t.Errorf("%s: got %d of %v, %v, %d left open", c.name, got, at, err, open.Load())
			}
		})
	}
}

// What is known of a name orders its addresses: what opened a session comes first, and
// what answered and opened none comes last.
func TestWhatIsKnownOfANameOrdersItsAddresses(t *testing.T) {
	n := names{lookup: func(context.Context, string) ([]netip.Addr, error) { return ips("10.0.0.1 10.0.0.2 10.0.0.3"), nil }}
	ctx := t.Context()
	order := func(what, name, want string) {
		t.Helper()
		list, err := n.places(ctx, "tcp", name)
		if got := fmt.Sprint(list); got != "["+want+"]" || err != nil {
			t.Errorf("%s: %s, %v, want %s", what, got, err, want)
		}
	}
	dialled := func(ip string, good bool) {
		n.dialled("server:7", netip.MustParseAddr(ip))
		n.opened(good)
	}
	order("nothing is known", "server:7", "10.0.0.1:7 10.0.0.2:7 10.0.0.3:7")
	dialled("10.0.0.2", true)
	order("the second has worked", "server:7", "10.0.0.2:7 10.0.0.1:7 10.0.0.3:7")
	dialled("10.0.0.1", false)
	order("the first has not", "server:7", "10.0.0.2:7 10.0.0.3:7 10.0.0.1:7")
	dialled("10.0.0.2", false)
	order("the second does not any more", "server:7", "10.0.0.1:7 10.0.0.3:7 10.0.0.2:7")
	n.opened(true) // of a name with one address: nothing was noted
	order("another name was dialled", "server:7", "10.0.0.1:7 10.0.0.3:7 10.0.0.2:7")
	order("of another name nothing is known", "other:8", "10.0.0.1:8 10.0.0.2:8 10.0.0.3:8")
	order("an address is no name", "[::ffff:10.0.0.9]:7", "10.0.0.9:7")
	n.lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	if list, err := n.places(ctx, "tcp", "empty:7"); err == nil {
		t.Errorf("a name without an address: %v", list)
	}
	for _, bad := range []string{"server", "server:no-such-port"} {
		if list, err := n.places(ctx, "tcp", bad); err == nil {
			t.Errorf("%s: %v", bad, list)
		}
	}
}
