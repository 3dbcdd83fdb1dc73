// SPDX-License-Identifier: MIT

package framework

import "testing"

// TestLoginStormEndsOnce: looks at the server every five seconds, with so many
// logins a look.
func TestLoginStormEndsOnce(t *testing.T) {
	type phase struct{ looks, logins int }
	for _, c := range []struct {
		name   string
		living int
		phases []phase
		want   int
	}{
		{"nobody", 0, []phase{{1000, 0}}, 0},
		{"few", 9_000, []phase{{9, 1000}, {1000, 0}}, 0},
		{"all at once", 20_000, []phase{{1, 20_000}, {1000, 0}}, 1},
		{"three minutes of logins", 200_000, []phase{{36, 5_555}, {1000, 1}}, 1},
		{"as much as always", 100_000, []phase{{10_000, 500}}, 0},
		{"a storm among as much as always", 20_000, []phase{{1000, 50}, {2, 10_000}, {1000, 50}}, 1},
		{"a small part", 1_000_000, []phase{{2, 10_000}, {1000, 0}}, 0},
		{"two", 50_000, []phase{{2, 20_000}, {100, 0}, {2, 20_000}, {100, 0}}, 2},
	} {
		var r loginStorm
		total, got := uint64(0), 0
		for _, p := range c.phases {
			for range p.looks {
				total += uint64(p.logins)
				if r.ended(total, c.living) {
					got++
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: over %d times, want %d", c.name, got, c.want)
		}
	}
}
