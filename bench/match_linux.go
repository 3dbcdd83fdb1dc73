// SPDX-License-Identifier: MIT

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/lifeline-go/lifeline/framework/match/queue"
)

func (o *options) matchFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "n", 100_000, "tickets")
	fs.Float64Var(&o.overload, "rate", 1000, "tickets that come in a second of virtual time")
}

// matching is what the matchmaking of one kind of match was like. Times that players
// waited are virtual, what it cost is real.
type matching struct {
	Name      string  `json:"name"`
	Tickets   int     `json:"tickets"`
	Players   uint64  `json:"players"` // of matches
	Matches   uint64  `json:"matches"`
	Waiting   int     `json:"waiting"` // at the end
	CPU       float64 `json:"cpu_us"`  // of this process, a ticket
	Wait50    float64 `json:"wait_p50_ms"`
	Wait99    float64 `json:"wait_p99_ms"`
	WaitMax   float64 `json:"wait_max_ms"`
	Spread    float64 `json:"spread"`    // of ratings in a match, mean
	Imbalance float64 `json:"imbalance"` // between the mean ratings of its teams, mean
	MaxQueue  int     `json:"max_queue"` // tickets that waited at once
}

// matchKinds are what is played. Ratings have a mean of 1,500 and a deviation of 300.
var matchKinds = []struct {
	name    string
	rules   queue.Rules
	parties bool
}{
	{"1v1", queue.Rules{Window: queue.Window{Start: 50, PerSecond: 10}}, false},
	{"5v5", queue.Rules{Size: 5, Window: queue.Window{Start: 50, PerSecond: 10}}, false},
	{"5v5, parties", queue.Rules{Size: 5, Window: queue.Window{Start: 50, PerSecond: 10}}, true},
	{"60 in one team", queue.Rules{Teams: 1, Size: 60, Window: queue.Window{Start: 200, PerSecond: 20}}, true},
}

// matches lets tickets come to the pure queue of framework/match, without a network.
func matches(o *options) error {
	var all []matching
	for _, k := range matchKinds {
		m, err := matchOnce(k.name, k.rules, k.parties, o.Sessions, o.overload)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	if o.json {
		return writeJSON(o.out, all)
	}
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "match\ttickets\tmatches\twaiting\tus a ticket\twait p50\tp99\tmax\tspread\timbalance")
	for _, m := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f\t%.0f\n", m.Name, m.Tickets, m.Matches, m.Waiting, m.CPU, m.Wait50, m.Wait99, m.WaitMax, m.Spread, m.Imbalance)
	}
	return w.Flush()
}

func matchOnce(name string, rules queue.Rules, parties bool, n int, rate float64) (matching, error) {
	m := matching{Name: name, Tickets: n}
	rules.Tickets = n
	q, err := queue.New(rules)
	if err != nil {
		return m, err
	}
	r := rand.New(rand.NewPCG(1, 1))
	tickets := make([]*queue.Ticket, n)
	for i := range tickets {
		t := &queue.Ticket{}
		rating := 1500 + 300*r.NormFloat64()
		size := 1
		if parties && r.IntN(4) == 0 {
			size += r.IntN(4)
		}
		for p := range size {
			t.Members = append(t.Members, queue.Member{ID: fmt.Sprint(i, " ", p), Rating: rating})
		}
		tickets[i] = t
	}
	const interval = 500 * time.Millisecond
	var waits []float64
	now := time.Unix(0, 0)
	end := now.Add(time.Duration(float64(n)/rate*float64(time.Second)) + time.Minute)
	began := ownCPU()
	for in := 0; now.Before(end); {
		now = now.Add(interval)
		for ; in < n && float64(in) < rate*now.Sub(time.Unix(0, 0)).Seconds(); in++ {
			if err := q.Enter(tickets[in], now.Add(-interval/2)); err != nil {
				return m, err
			}
		}
		m.MaxQueue = max(m.MaxQueue, q.Stats().Waiting)
		for _, e := range q.Step(now) {
			m.Spread += e.Match.Spread
			m.Imbalance += e.Match.Imbalance
			for _, t := range e.Match.Tickets() {
				waits = append(waits, float64(now.Sub(t.Since).Milliseconds()))
			}
			q.Seated(e.Match.Number, now)
		}
	}
	m.CPU = us(ownCPU()-began) / float64(n)
	s := q.Stats()
	m.Players, m.Matches, m.Waiting = s.Players, s.Matches, s.Waiting
	m.Spread /= float64(max(m.Matches, 1))
	m.Imbalance /= float64(max(m.Matches, 1))
	if slices.Sort(waits); len(waits) > 0 {
		m.Wait50, m.Wait99, m.WaitMax = waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1]
	}
	return m, nil
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
