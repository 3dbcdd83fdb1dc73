// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"maps"
	"os"
	"strconv"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// The server's own lease, and its eye on those of the others: package core decides, and
// here it is done.

// requestTime bounds one request to the bus, askTime a question to another server.
const (
	requestTime = time.Second
	askTime     = 2 * time.Second
)

// outcome is what came of a read or a write.
func outcome(err error, done core.Outcome) core.Outcome {
	switch {
	case err == nil:
		return done
	case done == core.Loaded:
		return core.LoadFailed
	case errors.Is(err, ErrConflict):
		return core.Conflicted
	}
	return core.Uncertain
}

// keepLease renews the lease until it is over.
func (c *Cluster) keepLease() {
	for c.ctx.Err() == nil {
		c.lookForPause()
		now := c.now()
		c.mu.Lock()
		do, value, rev, ok := c.lease.Next(now)
		next, over, left := c.lease.NextAt(), c.lease.Over(), c.lease.Left()
		c.mu.Unlock()
		switch {
		case over:
			c.fenced()
			return
		case left:
			return
		case !ok:
			c.wake.sleep(c.ctx, max(next-now, time.Millisecond))
			continue
		}
		o, value, rev := c.leaseDo(do, value, rev)
		now = c.now()
		c.complain(now, o)
		c.mu.Lock()
		before := c.lease.ValidUntil()
		c.lease.Done(o, value, rev, now)
		until := c.lease.ValidUntil()
		c.count.renewed(o, before, until, now)
		if o == core.Written && until > before {
			c.watch.Renewed(now)
		}
		c.actLocked()
		c.mu.Unlock()
	}
}

// lookForPause looks whether the machine was suspended. Then the age of the lease is unknown.
func (c *Cluster) lookForPause() {
	now, ahead, stood := c.times()
	if stood {
		c.log.Warn("this machine was suspended, or its wall clock was set: the lease counts when it is renewed")
		c.mu.Lock()
		c.lease.Suspended(now)
		c.actLocked()
		c.mu.Unlock()
	}
	c.ahead.Store(int64(ahead))
}

// actLocked makes known until when the server may act.
func (c *Cluster) actLocked() {
	until, acts := c.lease.ValidUntil(), c.lease.ValidUntil()
	if c.serve {
		acts = max(acts, c.lease.AloneUntil())
	}
	if c.frozen || c.lease.Over() {
		until, acts = 0, 0
	}
	c.until.Store(int64(until))
	c.acts.Store(int64(acts))
}

// freeze lets the server act for nothing, or as its lease says again: see freezer.
func (c *Cluster) freeze(frozen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = frozen
	c.actLocked()
}

// complainEvery is how often it is said that the directory does not answer.
const complainEvery = 10 * time.Second

// complain says that the lease was not renewed, now and then. Only keepLease calls it.
func (c *Cluster) complain(now time.Duration, o core.Outcome) {
	if o != core.Uncertain && o != core.LoadFailed || c.ctx.Err() != nil || c.complained != 0 && now-c.complained < complainEvery {
		return
	}
	c.complained = now
	c.log.Warn("the directory did not answer in time, the lease was not renewed", "valid_for", (time.Duration(c.until.Load()) - now).Round(time.Millisecond), "error", c.lastError)
}

func leaseKey(node uint16) string { return bucketLeases + "/" + strconv.Itoa(int(node)) }

// leaseDo does what the lease wants.
func (c *Cluster) leaseDo(do core.Verb, value core.LeaseValue, rev uint64) (core.Outcome, core.LeaseValue, uint64) {
	ctx, cancel := context.WithTimeout(c.ctx, requestTime)
	defer cancel()
	key := leaseKey(c.me.Node)
	switch do {
	case core.Read:
		b, rev, err := c.bus.Get(ctx, key)
		if err == nil {
			value, err = core.ParseLease(c.me.Node, b)
		}
		c.lastError = err
		return outcome(err, core.Loaded), value, rev
	case core.Declare:
		return outcome(c.tombstone(ctx, value.Owner), core.Written), value, 0
	}
	next, err := c.bus.Put(ctx, key, value.Append(nil), rev)
	c.lastError = err
	return outcome(err, core.Written), value, next
}

// fenced ends all that the server had: it was declared dead.
func (c *Cluster) fenced() {
	c.until.Store(0)
	c.acts.Store(0)
	c.mu.Lock()
	lost := c.lease.Lost()
	c.mu.Unlock()
	if lost {
		c.log.Error("the directory has forgotten what it had acknowledged, its store was emptied or set back: the sessions of this server are ended, restart it and those that say the same")
	} else {
		c.log.Error("this server was declared dead, as it could not renew its lease in time: its sessions are ended, restart it")
	}
	c.host.Fence()
	c.messages.close()
	c.broadcasts.close()
}

// watchAll begins to watch the others.
func (c *Cluster) watchAll() error {
	blind := func() {
		c.mu.Lock()
		c.watch.Blind(c.now())
		c.mu.Unlock()
	}
	for bucket, changed := range map[string]func(name string, value []byte, rev uint64){
		bucketLeases: c.leaseChanged, bucketMembers: c.memberChanged, bucketDead: c.deadChanged, bucketBans: c.bansChanged,
	} {
		if err := c.bus.Watch(c.ctx, bucket, changed, blind); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) leaseChanged(name string, b []byte, rev uint64) {
	node, err := strconv.ParseUint(name, 10, 16)
	v, err2 := core.ParseLease(uint16(node), b)
	if err = errors.Join(err, err2); err != nil {
		c.log.Error("a lease is not understood", "key", name, "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch.Saw(uint16(node), v, rev, c.now())
}

func (c *Cluster) memberChanged(name string, b []byte, _ uint64) {
	node, err := strconv.ParseUint(name, 10, 16)
	m, err2 := decodeMember(uint16(node), b)
	if err = errors.Join(err, err2); err != nil {
		c.log.Error("a server's description is not understood", "key", name, "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members.Put(m)
	c.watch.Expect(m.Incarnation, c.now())
}

func (c *Cluster) deadChanged(name string, _ []byte, _ uint64) {
	i, err := core.ParseIncarnation(name)
	if err != nil {
		c.log.Error("a tombstone is not understood", "key", name, "error", err)
		return
	}
	c.mu.Lock()
	c.members.Tombstone(i)
	c.mu.Unlock()
	c.presence.serverDied()
	c.services.serverDied(i)
}

// lookEvery is how often the leases of the others are looked at, and forgetEvery how often what
// is worth nothing any more is forgotten.
const (
	lookEvery   = 250 * time.Millisecond
	forgetEvery = time.Minute
)

// lookAfterOthers declares dead the servers that are silent.
func (c *Cluster) lookAfterOthers() {
	forgot := c.now()
	for pause(c.ctx, lookEvery) {
		c.lookForEnded()
		now := c.now()
		if now-forgot >= forgetEvery {
			forgot = now
			c.forgetOver(now)
		}
		c.mu.Lock()
		suspects, dead := c.watch.Suspects(now), c.watch.Dead()
		c.mu.Unlock()
		for _, s := range suspects {
			c.declare(s)
		}
		for _, i := range dead {
			c.declareOnce(i)
		}
	}
}

// forgetOver forgets what would stay though nothing comes of it any more: of servers that are
// dead, of sessions that have gone elsewhere, and bans that are over.
func (c *Cluster) forgetOver(now time.Duration) {
	c.mu.Lock()
	c.forgetGivenLocked(now)
	c.forgetSentLocked(now)
	maps.DeleteFunc(c.declared, func(i core.Incarnation, _ bool) bool { return c.members.Status(i) == core.Dead })
	c.mu.Unlock()
	c.messages.forgetDead()
	c.bans.forget(clock())
}

// lookForEnded looks whether the processes of the others have ended.
func (c *Cluster) lookForEnded() {
	if c.dir == "" {
		return
	}
	c.mu.Lock()
	living := c.watch.Living()
	c.mu.Unlock()
	for _, i := range living {
		if c.ended(i) {
			c.mu.Lock()
			c.watch.Ended(i)
			c.mu.Unlock()
		}
	}
}

// declare declares a suspect dead, if it has not renewed its lease meanwhile.
func (c *Cluster) declare(s core.Suspect) {
	ctx, cancel := context.WithTimeout(c.ctx, requestTime)
	defer cancel()
	i := s.Value.Owner
	if _, err := c.bus.Put(ctx, leaseKey(i.Node), s.Value.Append(nil), s.Rev); err != nil {
		c.mu.Lock()
		c.watch.Spared(i.Node, c.now())
		c.mu.Unlock()
		return
	}
	c.count.deaths.Add(1)
	if c.ended(i) {
		c.log.Warn("the process of a server has ended, and it is declared dead", "dead", i)
	} else {
		c.log.Warn("a server was silent for too long, and is declared dead", "dead", i)
	}
	c.declareOnce(i)
}

// declareOnce makes the tombstone of a server whose lease says that it is dead.
func (c *Cluster) declareOnce(i core.Incarnation) {
	c.mu.Lock()
	known := c.declared[i] || c.members.Status(i) == core.Dead
	if !known {
		c.declared[i] = true
	}
	c.mu.Unlock()
	if known {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, requestTime)
	defer cancel()
	err := c.tombstone(ctx, i)
	if err != nil { // the next look tries again
		c.mu.Lock()
		delete(c.declared, i)
		c.mu.Unlock()
	}
}

// tombstone makes one, if there is none.
func (c *Cluster) tombstone(ctx context.Context, i core.Incarnation) error {
	key := bucketDead + "/" + i.String()
	err := ErrConflict
	for errors.Is(err, ErrConflict) { // another server has written it: the next read shows it
		var b []byte
		var rev uint64
		if b, rev, err = c.bus.Get(ctx, key); err == nil && len(b) == 0 {
			_, err = c.bus.Put(ctx, key, []byte{1}, rev)
		}
	}
	if err == nil && c.dir != "" && i != c.me {
		_ = os.Remove(markPath(c.dir, i)) // it is of no more use
	}
	return err
}
