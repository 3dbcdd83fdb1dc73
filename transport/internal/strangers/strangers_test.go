// SPDX-License-Identifier: MIT

package strangers

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func TestNetwork(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.77":        "192.0.2.0/24",
		"::ffff:192.0.2.77": "192.0.2.0/24",
		"2001:db8:1:2::3":   "2001:db8:1::/48",
		"fe80::1%eth0":      "fe80::/48",
	} {
		if got := Network(netip.MustParseAddr(ip), 24, 48).String(); got != want {
			t.Errorf("%s counts with %s, want %s", ip, got, want)
		}
	}
}

// TestTableAgreesWithAList compares the table with one that looks at everything.
func TestTableAgreesWithAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var table Table[int]
	type entry struct {
		p netip.Prefix
		e *Entry[int]
	}
	var all []entry // oldest first
	for i := range 20_000 {
		if r.IntN(5) < 3 {
			p := Network(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(1 + i%9)), 1}), 24, 48)
			all = append(all, entry{p, table.Add(p, i)})
		} else if len(all) > 0 {
			at := r.IntN(len(all))
			table.Remove(all[at].e)
			table.Remove(all[at].e) // nothing
			all = slices.Delete(all, at, at+1)
		}
		if len(all) > 60 {
			first := table.First()
			table.Remove(first)
			all = slices.DeleteFunc(all, func(x entry) bool { return x.e == first })
		}
		if table.Len() != len(all) {
			t.Fatalf("%d entries, want %d", table.Len(), len(all))
		}
		counts, oldest := map[netip.Prefix]int{}, map[netip.Prefix]int{}
		most := 0
		for _, x := range all {
			if counts[x.p]++; counts[x.p] == 1 {
				oldest[x.p] = x.e.Value
			}
			most = max(most, counts[x.p])
		}
		first := table.First()
		if len(all) == 0 {
			if first != nil {
				t.Fatal("an empty table has a first entry")
			}
			continue
		}
		i := slices.IndexFunc(all, func(x entry) bool { return x.e == first })
		if i < 0 || counts[all[i].p] != most || oldest[all[i].p] != first.Value {
			t.Fatalf("first is %d, of a network with %d entries; the busiest has %d", first.Value, counts[all[i].p], most)
		}
	}
}

// TestOldestGoesAmongEquals: of peers from everywhere the one that has waited longest.
func TestOldestGoesAmongEquals(t *testing.T) {
	var table Table[int]
	for i := range 1000 {
		table.Add(Network(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 24, 48), i)
	}
	for i := range 1000 {
		if e := table.First(); e.Value != i {
			t.Fatalf("%d goes, want %d", e.Value, i)
		} else {
			table.Remove(e)
		}
	}
	if len(table.networks) != 0 || len(table.sizes) != 0 {
		t.Errorf("left behind: %d networks, %d sizes", len(table.networks), len(table.sizes))
	}
}
