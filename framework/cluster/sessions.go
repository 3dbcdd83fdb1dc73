// SPDX-License-Identifier: MIT

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/session"
)

// Sessions in the directory: each method takes a core.Op through the bus.

// take runs an operation that makes this server the owner of a session. Without a lease it writes
// nothing: a server that was declared dead would keep what it takes from all others.
func (c *Cluster) take(ctx context.Context, op *core.Op) (core.Verdict, error) {
	return c.runWhile(ctx, op, c.HasLease)
}

// run does what an operation wants until it has a verdict. It gives up when ctx ends.
func (c *Cluster) run(ctx context.Context, op *core.Op) (core.Verdict, error) {
	return c.runWhile(ctx, op, func() bool { return true })
}

func (c *Cluster) runWhile(ctx context.Context, op *core.Op, mayWrite func() bool) (core.Verdict, error) {
	ev := core.Event{}
	for {
		c.mu.Lock()
		a := op.Next(ev, &c.members)
		c.mu.Unlock()
		switch a.Do {
		case core.Done:
			return a.Verdict, nil
		case core.Write:
			if !mayWrite() {
				return core.Verdict{Wait: time.Second}, nil
			}
			ev = c.do(ctx, op, &a)
		case core.Wait:
			pause(ctx, a.Wait)
			ev = core.Event{Outcome: core.Waited}
		default:
			ev = c.do(ctx, op, &a)
		}
		if err := ctx.Err(); err != nil && ev.Outcome != core.Written {
			return core.Verdict{}, err
		}
	}
}

// do does one action that needs the bus.
func (c *Cluster) do(ctx context.Context, op *core.Op, a *core.Action) core.Event {
	limit := requestTime
	if a.Do == core.Ask {
		limit = askTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	switch a.Do {
	case core.Read:
		entries, rev, err := c.entries(ctx, op.Key)
		return core.Event{Outcome: outcome(err, core.Loaded), Entries: entries, Rev: rev}
	case core.Write:
		return core.Event{Outcome: c.write(ctx, sessionsKey(op.Key), core.AppendEntries(nil, a.Entries), a.Rev)}
	}
	b, err := c.bus.Ask(ctx, a.To.String(), encodeQuestion(a.Question))
	var body answerBody
	if err != nil || decode(b, &body) != nil || body.Answer > uint8(core.Here) {
		return core.Event{Outcome: core.Unanswered}
	}
	return core.Event{Outcome: core.Answered, Answer: core.Answer(body.Answer)}
}

// writeAgain is the pause after a write that was refused, as the disk of the directory is full.
const writeAgain = 50 * time.Millisecond

// write writes a value of the directory, for an operation that will try again. What is refused at
// once would be tried without a pause.
func (c *Cluster) write(ctx context.Context, key string, value []byte, rev uint64) core.Outcome {
	_, err := c.bus.Put(ctx, key, value, rev)
	o := outcome(err, core.Written)
	if o == core.Uncertain {
		pause(ctx, writeAgain)
	}
	return o
}

func sessionsKey(name string) string { return bucketSessions + "/" + name }

// entries reads what stands under the key of a user. Two users may share one.
func (c *Cluster) entries(ctx context.Context, name string) (list []core.Entry, rev uint64, err error) {
	b, rev, err := c.bus.Get(ctx, sessionsKey(name))
	if err == nil {
		list, err = core.ParseEntries(b)
	}
	return list, rev, err
}

// busy is the answer to a client that shall come again.
func busy(d time.Duration) *session.CloseError {
	return &session.CloseError{Code: session.Busy, Detail: uint64(max(d, 100*time.Millisecond).Milliseconds()), Text: "the session is on its way"}
}

// Claim implements framework.Cluster.
func (c *Cluster) Claim(ctx context.Context, user string, id session.ID, login []byte, policy framework.Duplicate) ([]byte, error) {
	if why := c.banRefusal(user); why != nil {
		return nil, why
	}
	c.mu.Lock()
	op := core.NewClaim(c.me, id, user, login, policies[policy], &c.holdings)
	fresh := c.holdings.Arrive(id)
	c.mu.Unlock()
	if !fresh {
		return nil, busy(time.Second)
	}
	v, err := c.take(ctx, op)
	c.count.claims.add(v, err)
	if err == nil {
		err = c.banRefusal(user) // if that came meanwhile
	}
	if err == nil && v.Result == core.Granted && c.HasLease() {
		c.mu.Lock()
		c.holdings.Grant(id, v.Gen)
		c.mu.Unlock()
		return v.Record, nil
	}
	c.release(id) // it may have been written all the same
	switch {
	case err != nil:
		return nil, err
	case v.Result == core.AlreadyIn:
		return nil, &session.CloseError{Code: session.AlreadyIn}
	}
	return nil, busy(v.Wait)
}

var policies = map[framework.Duplicate]core.Policy{
	framework.DuplicateReplace: core.Replace, framework.DuplicateReject: core.Reject,
	framework.DuplicateAllow: core.Allow, framework.DuplicateAdopt: core.Adopt,
}

// Opened implements framework.Cluster.
func (c *Cluster) Opened(id session.ID) {
	c.mu.Lock()
	adopted := c.holdings.Open(id)
	c.mu.Unlock()
	for _, old := range adopted {
		c.release(old)
	}
}

// Release implements framework.Cluster.
func (c *Cluster) Release(id session.ID) {
	c.mu.Lock()
	ended := c.holdings.End(id)
	c.mu.Unlock()
	if ended {
		c.release(id)
	}
}

// release removes an entry, and gives back what its claim has taken, until that is sure.
func (c *Cluster) release(id session.ID) {
	c.giveUp(id, func() *core.Op { return core.NewRelease(c.me, id, &c.holdings) })
}

// giveUp runs an operation that releases a session, until that is sure.
func (c *Cluster) giveUp(id session.ID, op func() *core.Op) {
	c.jobs.Add(func() {
		c.untilDone(func(ctx context.Context) bool {
			v, err := c.run(ctx, op())
			return err == nil && v.Result == core.Released
		})
		c.forget(id)
	})
}

func (c *Cluster) forget(id session.ID) {
	c.mu.Lock()
	c.holdings.Forget(id)
	c.mu.Unlock()
}

// untilDone tries something again and again, as long as the server may own anything.
func (c *Cluster) untilDone(try func(ctx context.Context) bool) {
	for !c.over() {
		ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
		ok := try(ctx)
		cancel()
		if ok || !pause(c.ctx, 300*time.Millisecond) {
			return
		}
	}
}

func (c *Cluster) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease.Over() || c.lease.Left()
}

// Find implements framework.Cluster.
func (c *Cluster) Find(ctx context.Context, id session.ID, policy framework.Duplicate, orphan func(user string, login []byte) []byte) ([]byte, error) {
	c.mu.Lock()
	if wait := c.givenLocked(id); wait > 0 {
		c.mu.Unlock()
		return nil, busy(wait)
	}
	fresh := c.holdings.Arrive(id)
	f := core.Find{Me: c.me, Session: id, Policy: policies[policy], Orphan: orphan, Redirected: c.wasSentLocked(id), Dialable: c.dialableLocked, Home: c.homeLocked}
	c.mu.Unlock()
	if !fresh {
		return nil, busy(0)
	}
	op := core.NewFind(f)
	v, err := c.take(ctx, op)
	c.count.finds.add(v, err)
	if err == nil && v.Result == core.Taken {
		if why := c.banRefusal(v.User); why != nil {
			c.release(id) // it is owned here now
			return nil, why
		}
	}
	switch {
	case err == nil && v.Result == core.Taken:
		c.mu.Lock()
		c.holdings.Hold(id, v.Gen)
		c.mu.Unlock()
		return v.Record, nil
	case err == nil && v.Result == core.Mine: // of a claim that was given up
		c.release(id)
		return nil, nil
	}
	if op.Tried() && (err != nil || v.Result == core.Busy) {
		c.giveBack(id)
	} else {
		c.forget(id)
	}
	switch {
	case err != nil:
		return nil, err
	case v.Result == core.Redirect:
		return nil, c.redirect(id, v.To)
	case v.Result == core.Superseded:
		return nil, &session.CloseError{Code: session.TakenOver}
	case v.Result == core.Missing:
		return nil, nil
	}
	return nil, busy(v.Wait)
}

// givenTime is how long a session that another server has asked for is left to that one. Its
// client may be back here before.
const givenTime = time.Second

// maxGiven bounds how many such sessions are remembered.
const maxGiven = 1 << 12

// giveLocked notes that another server has asked for a session.
func (c *Cluster) giveLocked(id session.ID) {
	now := c.now()
	if len(c.given) >= maxGiven {
		c.forgetGivenLocked(now)
	}
	if len(c.given) < maxGiven { // else its client may take it back
		c.given[id] = now
	}
}

func (c *Cluster) forgetGivenLocked(now time.Duration) {
	maps.DeleteFunc(c.given, func(_ session.ID, at time.Duration) bool { return now-at >= givenTime })
}

// givenLocked returns for how long a session is left to another server.
func (c *Cluster) givenLocked(id session.ID) time.Duration {
	at, ok := c.given[id]
	if !ok {
		return 0
	}
	wait := givenTime - (c.now() - at)
	if wait <= 0 {
		delete(c.given, id)
	}
	return wait
}

// dialableLocked reports whether clients can be sent to a server. The caller holds mu:
// run does while an operation decides.
func (c *Cluster) dialableLocked(i core.Incarnation) bool {
	m, ok := c.members.Member(i)
	return ok && m.Address != ""
}

// homeLocked returns a server that has the routes of a parked session, if this one has not. The
// caller holds mu.
func (c *Cluster) homeLocked(record []byte) (home core.Incarnation) {
	if _, others := c.takersLocked(c.host.Routes()); len(others) == 0 {
		return home // there is one release
	}
	rec, err := session.ParseRecord(record)
	if err != nil || rec.Routes == nil || bytes.Equal(rec.Routes, c.host.Routes()) {
		return home
	}
	if same, _ := c.takersLocked(rec.Routes); len(same) > 0 {
		home = oneOf(same, rec.ID).Incarnation
	}
	return home
}

// sentTime is how long it is remembered that a client was sent elsewhere. If it comes here
// again in that time, it can't get there.
const sentTime = 30 * time.Second

// maxSent bounds how many such clients are remembered.
const maxSent = 1 << 16

func (c *Cluster) forgetSentLocked(now time.Duration) {
	maps.DeleteFunc(c.sent, func(_ session.ID, at time.Duration) bool { return now-at >= sentTime })
}

func (c *Cluster) wasSentLocked(id session.ID) bool {
	at, ok := c.sent[id]
	return ok && c.now()-at < sentTime
}

// redirect sends a client to the owner of its session.
func (c *Cluster) redirect(id session.ID, to core.Incarnation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.members.Member(to)
	if !ok {
		return busy(0)
	}
	now := c.now()
	if len(c.sent) >= maxSent {
		c.forgetSentLocked(now)
		if len(c.sent) >= maxSent {
			clear(c.sent) // a client that can't get there is sent once more
		}
	}
	c.sent[id] = now
	return &session.CloseError{Code: session.Moved, Text: m.Address}
}

// maxRecord bounds the record of a session that goes to another server, in bytes. NATS takes
// no more than 1 MiB at once.
const maxRecord = 1000 << 10

// Park implements framework.Cluster.
func (c *Cluster) Park(ctx context.Context, id session.ID, record []byte) error {
	c.mu.Lock()
	gen, ok := c.holdings.Park(id)
	c.mu.Unlock()
	if !ok {
		return framework.ErrFenced
	}
	if len(record) > maxRecord { // else it would be tried until ctx ends
		c.release(id)
		return fmt.Errorf("cluster: what the session takes along, Session.SendBytes and what Pack made, has %d bytes, of at most %d: %w", len(record), maxRecord, codec.ErrTooLarge)
	}
	op := core.NewPark(c.me, id, gen, record, &c.holdings)
	v, err := c.run(ctx, op)
	c.count.parks.add(v, err)
	if err == nil && v.Result == core.Busy {
		err = busy(v.Wait)
	}
	if err != nil { // it ends here; what was written of it must go
		c.release(id)
		return err
	}
	c.forget(id)
	if v.Result == core.Fenced {
		return framework.ErrFenced
	}
	return nil
}

// answer answers the question of another server. One without a lease says nothing.
func (c *Cluster) answer(b []byte) []byte {
	q, ok := decodeQuestion(b)
	if !ok || !c.HasLease() {
		return nil
	}
	c.mu.Lock()
	effect := c.holdings.Ask(q)
	if effect == core.ParkIt {
		c.giveLocked(q.Session)
	}
	if effect == core.GiveBack && !c.holdings.Arrive(q.Session) {
		effect = core.NoEffect
	}
	c.mu.Unlock()
	c.count.asked[effect].Add(1)
	a := core.Working
	switch effect {
	case core.SayHere:
		a = core.Here
	case core.EndIt:
		if c.host.Evict(q.Session, framework.Duplicate(q.Policy)) {
			a = core.Present
		}
	case core.ParkIt:
		c.host.Give(q.Session)
	case core.GiveBack:
		c.giveBack(q.Session)
	}
	return encode(&answerBody{uint8(a)})
}

// giveBack gives up what a find that was given up may have taken, until that is sure: a server that
// leaves takes with it what it owns.
func (c *Cluster) giveBack(id session.ID) {
	c.giveUp(id, func() *core.Op { return core.NewUnpark(c.me, id) })
}

// maxJobs is how many jobs run at once, of sessions and of rooms each.
const maxJobs = 64
