// SPDX-License-Identifier: MIT

package queue

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
)

// optimum returns how many matches of two are possible, and the smallest sum of their
// spreads, by trying all.
func optimum(ratings []float64, window float64) (matches int, spread float64) {
	type best struct {
		matches int
		spread  float64
	}
	all := make([]best, 1<<len(ratings))
	for left := 1; left < len(all); left++ {
		i := bits.TrailingZeros(uint(left))
		rest := left &^ (1 << i)
		b := all[rest] // i stays alone
		for m := rest; m != 0; m &= m - 1 {
			j := bits.TrailingZeros(uint(m))
			d := math.Abs(ratings[i] - ratings[j])
			if d > window {
				continue
			}
			x := all[rest&^(1<<j)]
			if x.matches++; x.matches > b.matches || x.matches == b.matches && x.spread+d < b.spread {
				b = best{x.matches, x.spread + d}
			}
		}
		all[left] = b
	}
	b := all[len(all)-1]
	return b.matches, b.spread
}

// On small queues the matches are compared with the best there are.
func TestQualityAgainstTheOptimum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var made, possible int
	var spread, least float64
	for range 500 {
		q := queueOf(t, Rules{Window: Window{Start: 200}})
		var ratings []float64
		for i := range 12 {
			rating := 1500 + 200*r.NormFloat64()
			ratings = append(ratings, rating)
			enter(t, q, party(fmt.Sprint(i), rating), float64(i)/100)
		}
		for _, e := range q.Step(at(1)) {
			made++
			spread += e.Match.Spread
		}
		n, d := optimum(ratings, 200)
		possible += n
		least += d
	}
	t.Logf("matches: %d of %d possible (%.1f %%); mean spread %.1f, at the optimum %.1f",
		made, possible, 100*float64(made)/float64(possible), spread/float64(made), least/float64(possible))
	if float64(made) < 0.9*float64(possible) || spread/float64(made) > 1.8*least/float64(possible) {
		t.Error("too far from the optimum")
	}
}

// The teams of a match are compared with the most equal there are.
func TestBalanceAgainstTheOptimum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var got, least float64
	const rounds, teams, size = 100, 3, 3
	for range rounds {
		q := queueOf(t, Rules{Teams: teams, Size: size})
		var ratings []float64
		for i := range teams * size {
			rating := 1500 + 200*r.NormFloat64()
			ratings = append(ratings, rating)
			enter(t, q, party(fmt.Sprint(i), rating), 0)
		}
		got += q.Step(at(0))[0].Match.Imbalance
		least += fairest(ratings, make([]float64, teams), make([]int, teams), size) / size
	}
	t.Logf("mean imbalance %.1f, at the optimum %.1f", got/rounds, least/rounds)
	if got/rounds > 40 {
		t.Errorf("mean imbalance %.1f", got/rounds)
	}
}

// fairest returns the smallest difference between the sums of teams, by trying all.
func fairest(ratings, sums []float64, sizes []int, size int) float64 {
	if len(ratings) == 0 {
		low, high := sums[0], sums[0]
		for _, s := range sums {
			low, high = min(low, s), max(high, s)
		}
		return high - low
	}
	best := math.Inf(1)
	for i := range sums {
		if sizes[i] == size {
			continue
		}
		sums[i] += ratings[0]
		sizes[i]++
		best = min(best, fairest(ratings[1:], sums, sizes, size))
		sums[i] -= ratings[0]
		sizes[i]--
		if sizes[i] == 0 {
			break
		}
	}
	return best
}

// The oldest ticket is served in bounded time, however far away its rating is and
// however many come later: once its window reaches them it is the first to choose.
func TestTheOldestIsServed(t *testing.T) {
	q := queueOf(t, Rules{Size: 2, Window: Window{Start: 50, PerSecond: 25}})
	r := rand.New(rand.NewPCG(1, 1))
	outlier := enter(t, q, party("far", 2500), 0)
	served := 0.0
	for i := 0; served == 0 && i < 400; i++ {
		s := float64(i) / 4
		for n := range 6 {
			enter(t, q, party(fmt.Sprint(i, n), 1500+50*r.NormFloat64()), s)
		}
		for _, e := range q.Step(at(s)) {
			q.Seated(e.Match.Number, at(s))
		}
		if outlier.State() != Waiting {
			served = s
		}
	}
	// Its window reaches 1,600 after 34 s, and it looks every 4.25 s by then.
	if served == 0 || served > 45 {
		t.Errorf("served after %v s", served)
	}
}

// BenchmarkTicket is one ticket of 100,000 that come within 100 s: what its way through
// the queue costs, with what it waited for.
func BenchmarkTicket(b *testing.B) {
	for name, rules := range map[string]Rules{
		"1v1": {Window: Window{Start: 50, PerSecond: 10}},
		"5v5": {Size: 5, Window: Window{Start: 50, PerSecond: 10}},
	} {
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			q, err := New(rules)
			if err != nil {
				b.Fatal(err)
			}
			var wait time.Duration
			b.ReportAllocs()
			now := start
			for i := 0; b.Loop(); i++ {
				if i%500 == 0 {
					now = now.Add(500 * time.Millisecond)
					for _, e := range q.Step(now) {
						for _, t := range e.Match.Tickets() {
							wait += t.wait(now)
						}
						q.Seated(e.Match.Number, now)
					}
				}
				t := &Ticket{Members: []Member{{ID: fmt.Sprint(i), Rating: 1500 + 300*r.NormFloat64()}}}
				if err := q.Enter(t, now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(wait.Seconds()/float64(max(q.Stats().Players, 1)), "s-wait/op")
		})
	}
}
