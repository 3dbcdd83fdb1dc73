// SPDX-License-Identifier: MIT

package server

import (
	"errors"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

// Sent is what became of the messages that a server has sent to users by their names.
type Sent struct {
	Taken        uint64
	Backpressure uint64 // not taken, as too much waits
	Failed       uint64 // not taken for another reason
	Undelivered  uint64 // taken, and not handed over
}

// sender sends numbered messages to users by their names, at whichever server they are.
type sender struct {
	push   func(user int, m load.Push) error
	ledger *ledger
	users  int
	window uint64        // messages to a user that have not arrived, where there is no rate
	rest   []byte        // of each message
	rate   atomic.Uint64 // messages a second, as bits; NaN: none

	taken, backpressure, failed, undelivered atomic.Uint64
}

// toUsers sends as lifeline does.
func toUsers(c *cluster.Cluster, n int) func(int, load.Push) error {
	users := make([]cluster.User, n)
	for i := range users {
		users[i] = c.User(load.UserName(i))
	}
	return func(user int, m load.Push) error { return users[user].Push("push", m) }
}

// SendBy says how another server sends a message to a user. Its Starter calls it.
func (o *Options) SendBy(push func(user int, m load.Push) error) { o.push = push }

// newSender makes a sender that waits for its order.
func newSender(o *Options, l *ledger, push func(user int, m load.Push) error) *sender {
	d := &sender{push: push, ledger: l, users: o.SendTo, window: uint64(o.SendWindow), rest: make([]byte, o.Size)}
	d.rate.Store(math.Float64bits(math.NaN()))
	go d.run() // ends with the process
	return d
}

// broadcaster makes a sender to all players at once, at whichever server they are.
func (g *game) broadcaster(srv *framework.Server, joined framework.Cluster) *sender {
	const tag = "everybody"
	g.group = srv.Group(tag)
	o := *g.o
	o.SendTo = 1
	return newSender(&o, &ledger{make([]page, 1)}, func(_ int, m load.Push) error {
		if c, ok := joined.(*cluster.Cluster); ok {
			return c.Group(tag).Broadcast("push", m)
		}
		return g.group.Broadcast("push", m)
	})
}

// order begins to send, at a rate, or with 0 as fast as messages arrive. Without text it
// ends.
func (d *sender) order(text string) error {
	rate := math.NaN()
	if text != "" {
		var err error
		if rate, err = strconv.ParseFloat(text, 64); err != nil {
			return err
		}
	}
	d.rate.Store(math.Float64bits(rate))
	return nil
}

func (d *sender) run() {
	due := proc.Monotonic()
	for at := 0; ; {
		now, rate := proc.Monotonic(), math.Float64frombits(d.rate.Load())
		switch {
		case math.IsNaN(rate):
			time.Sleep(time.Millisecond)
			due = now
		case rate == 0:
			if !d.fill(now) {
				time.Sleep(50 * time.Microsecond)
			}
		case due > now:
			time.Sleep(due - now)
		default:
			d.send(at, due) // late or not, it counts from its time
			at = (at + 1) % d.users
			due += time.Duration(float64(time.Second) / rate)
		}
	}
}

// fill sends each user as many as its window has room for, one after the other, and reports
// whether there was room.
func (d *sender) fill(now time.Duration) (some bool) {
	for i := range d.users {
		p := d.ledger.of(i)
		if p.pushed.Load()-p.arrived.Load() < d.window && d.send(i, now) {
			some = true
		}
	}
	return some
}

// send sends the next message to user i, which was due at at. It never blocks.
func (d *sender) send(i int, at time.Duration) bool {
	n := &d.ledger.of(i).pushed
	number := n.Add(1)
	err := d.push(i, load.Push{Number: number, At: int64(at), Rest: d.rest})
	if err == nil {
		d.taken.Add(1)
		return true
	}
	n.Add(^uint64(0)) // it was not sent: no other server sends meanwhile
	if errors.Is(err, cluster.ErrBackpressure) {
		d.backpressure.Add(1)
	} else {
		d.failed.Add(1)
	}
	return false
}

func (d *sender) status() Sent {
	return Sent{d.taken.Load(), d.backpressure.Load(), d.failed.Load(), d.undelivered.Load()}
}
