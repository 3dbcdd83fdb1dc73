// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/fan"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
)

// What one server tells many: package fan decides, and here it is done.

// castBody is a broadcast to other servers. Fields are only ever appended.
type castBody struct {
	Node   uint16 // of the sender
	Boot   uint32
	Kind   uint8
	Tag    string
	First  uint64 // a fan.Position
	Number uint64
	Mark   bool // it was told before: there is no Route and no Body
	Route  string
	Body   []byte // a payload
}

// The kinds of broadcasts.
const (
	castGroup    = 1
	castAll      = 2 // has a subject of its own
	castPresence = 3 // see presence.go
)

const subjectAll = "all"

func subjectOf(bucket int) string { return "g." + strconv.Itoa(bucket) }

// maxCasts bounds in bytes what waits for the bus.
const maxCasts = 8 << 20

// broadcasts is what is on its way from this server to many, and what comes from others.
type broadcasts struct {
	c        *Cluster
	onMissed func(tag string, n uint64)
	publish  bell // something waits for the bus
	interest bell // a subject is wanted, or was

	sent, received, unwanted, late, missed, backpressure, failed atomic.Uint64
	garbled, said                                                logs.Limiter

	// hands are by bucket, the last one of subjectAll. One is held while something that has
	// come is handed on, so that its order stays. mu is taken under it.
	hands [fan.Buckets + 1]sync.Mutex

	mu sync.Mutex
	// Guarded by mu.
	open    bool // between Join and Leave
	counter fan.Counter
	inbox   fan.Inbox
	queue   []cast
	bytes   int // of queue, and of what publishAll has in hand
}

// cast is a broadcast that waits for the bus.
type cast struct {
	key   fan.Key
	at    fan.Position
	mark  bool
	route string
	body  []byte
}

func (b *cast) size() int { return len(b.body) + len(b.route) + len(b.key.Tag) + messageCost }

func newBroadcasts(c *Cluster, onMissed func(tag string, n uint64)) *broadcasts {
	b := &broadcasts{c: c, onMissed: onMissed, publish: newBell(), interest: newBell()}
	b.inbox.Always(fan.Key{Kind: castAll})
	return b
}

// listen hears what goes to all, and what groups want from now on.
func (b *broadcasts) listen() error {
	err := b.c.bus.Subscribe(b.c.ctx, subjectAll, func(m []byte) { b.heard(fan.Buckets, m) })
	if err == nil {
		b.c.host.WatchGroups(b.groupChanged)
	}
	return err
}

// start takes broadcasts from now on, until the cluster is left.
func (b *broadcasts) start() {
	b.mu.Lock()
	b.open = true
	b.mu.Unlock()
	go b.publishAll() // both end with the cluster's ctx
	go b.follow()
}

func (b *broadcasts) close() {
	b.mu.Lock()
	b.open = false
	b.mu.Unlock()
}

// empty reports that nothing waits for the bus.
func (b *broadcasts) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes == 0
}

// groupChanged is called under the lock of the groups.
func (b *broadcasts) groupChanged(tag string, some bool) {
	b.want(fan.Key{Kind: castGroup, Tag: tag}, some)
}

// want says whether a key is wanted here.
func (b *broadcasts) want(k fan.Key, some bool) {
	b.mu.Lock()
	var look bool
	if some {
		look = b.inbox.Add(k)
	} else {
		look = b.inbox.Remove(k, b.c.now())
	}
	b.mu.Unlock()
	if look {
		b.interest.ring()
	}
}

// tell encodes v once, gives it to those that are here, and puts it on its way to the others.
func (b *broadcasts) tell(k fan.Key, route string, v any, here func(codec.Raw) error) error {
	if !b.c.joined.Load() {
		return errOutside
	}
	body, err := codec.AppendBody(nil, v)
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		return fmt.Errorf("cluster: a broadcast of %d bytes, of at most %d: %w", len(body), maxMessage, codec.ErrTooLarge)
	}
	if err := here(body); err != nil {
		return err
	}
	return b.put(cast{key: k, route: route, body: body})
}

// put takes a broadcast on its way to other servers.
func (b *broadcasts) put(m cast) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return errOutside
	}
	if b.bytes+m.size() > maxCasts {
		b.backpressure.Add(1)
		return fmt.Errorf("%w: %d bytes of broadcasts wait for the bus, of at most %d", ErrBackpressure, b.bytes, maxCasts)
	}
	m.at = b.counter.Next(m.key, b.c.now())
	b.queue = append(b.queue, m)
	b.bytes += m.size()
	b.sent.Add(1)
	b.publish.ring()
	return nil
}

// publishAll brings to the bus what waits for it, and the marks that are due.
func (b *broadcasts) publishAll() {
	for b.c.ctx.Err() == nil {
		b.mu.Lock()
		list, now := b.queue, b.c.now()
		b.queue = nil
		for _, m := range b.counter.Marks(now) {
			list = append(list, cast{key: m.Key, at: m.Position, mark: true})
		}
		next, ok := b.counter.NextMark()
		b.mu.Unlock()
		if len(list) == 0 {
			if !ok {
				next = now + time.Hour
			}
			b.publish.sleep(b.c.ctx, max(next-now, time.Millisecond))
			continue
		}
		for i := range list {
			b.publishOne(&list[i])
		}
	}
}

func (b *broadcasts) publishOne(m *cast) {
	subject := subjectAll
	if m.key.Kind != castAll {
		subject = subjectOf(fan.Bucket(m.key.Tag))
	}
	body := castBody{b.c.me.Node, b.c.me.Boot, m.key.Kind, m.key.Tag, m.at.First, m.at.Number, m.mark, m.route, m.body}
	if err := b.c.bus.Publish(subject, encode(&body)); err != nil {
		b.failed.Add(1)
		b.complain("the bus does not take a broadcast", err)
	}
	if !m.mark {
		b.mu.Lock()
		b.bytes -= m.size()
		b.mu.Unlock()
	}
}

// complain logs now and then.
func (b *broadcasts) complain(what string, err error) {
	if n, ok := b.said.Allow(clock()); ok {
		b.c.log.Warn(what, "times", n, "error", err)
	}
}

// subscribeAgain is when a subject is tried again that could not be subscribed to.
const subscribeAgain = 500 * time.Millisecond

// follow subscribes to what members here want.
func (b *broadcasts) follow() {
	ends := map[int]context.CancelFunc{} // by bucket
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for b.c.ctx.Err() == nil {
		now := b.c.now()
		b.mu.Lock()
		b.inbox.Forget(b.c.dead)
		begin, end := b.inbox.Step(now)
		next, ok := b.inbox.NextStep()
		b.mu.Unlock()
		d := forgetEvery
		if ok {
			d = min(d, next-now)
		}
		for _, i := range begin {
			ctx, cancel := context.WithCancel(b.c.ctx)
			if err := b.c.bus.Subscribe(ctx, subjectOf(i), func(m []byte) { b.heard(i, m) }); err != nil {
				cancel()
				b.complain("a group's subject can't be subscribed to", err)
				b.mu.Lock()
				b.inbox.Failed(i)
				b.mu.Unlock()
				d = min(d, subscribeAgain)
				continue
			}
			ends[i] = cancel
		}
		for _, i := range end {
			if f := ends[i]; f != nil {
				f()
				delete(ends, i)
			}
		}
		b.interest.sleep(b.c.ctx, max(d, time.Millisecond))
	}
}

// heard takes what has come by the subject of a bucket.
func (b *broadcasts) heard(bucket int, message []byte) {
	var m castBody
	if err := decode(message, &m); err != nil {
		if n, ok := b.garbled.Allow(clock()); ok {
			b.c.log.Error("a broadcast of another server is not understood", "times", n, "error", err)
		}
		return
	}
	from := core.Incarnation{Node: m.Node, Boot: m.Boot}
	if from == b.c.me {
		return
	}
	k := fan.Key{Kind: m.Kind, Tag: m.Tag}
	b.hands[bucket].Lock()
	defer b.hands[bucket].Unlock()
	b.mu.Lock()
	a := b.inbox.Arrive(from, k, fan.Position{First: m.First, Number: m.Number}, m.Mark)
	b.mu.Unlock()
	if a.Missed > 0 {
		b.missed.Add(a.Missed)
		b.tellMissed(k, a.Missed)
	}
	switch {
	case a.Late:
		b.late.Add(1)
	case a.Deliver:
		b.received.Add(1)
		if err := b.handOver(from, &m); err != nil {
			b.failed.Add(1)
			b.complain("a broadcast of another server can't be handed to players", err)
		}
	case !m.Mark:
		b.unwanted.Add(1)
	}
}

// handOver gives a broadcast to the players that are here: its bytes, as they are.
func (b *broadcasts) handOver(from core.Incarnation, m *castBody) error {
	switch m.Kind {
	case castAll:
		return b.c.host.Broadcast(m.Route, codec.Raw(m.Body))
	case castPresence:
		return b.c.presence.heard(from, m.Body)
	}
	return b.c.host.Group(m.Tag).Broadcast(m.Route, codec.Raw(m.Body))
}

// tellMissed tells the game of broadcasts that did not get here.
func (b *broadcasts) tellMissed(k fan.Key, n uint64) {
	if k.Kind == castPresence {
		b.c.presence.missed(k.Tag)
	} else if b.onMissed != nil {
		b.c.guarded("OnMissed", func() { b.onMissed(k.Tag, n) })
	}
}

// guarded calls the game's code. A panic is told, and ends that call alone; so does
// runtime.Goexit, which ends the goroutine too.
func (c *Cluster) guarded(in string, f func()) {
	returned := false
	defer func() {
		v := recover()
		if v == nil && !returned {
			v = errGoexit
		}
		if v != nil {
			c.host.Panicked(in, v)
		}
	}()
	f()
	returned = true
}

var errGoexit = errors.New("runtime.Goexit was called")

// fill adds what was counted.
func (b *broadcasts) fill(st *framework.ClusterStats) {
	st.Missed = b.missed.Load()
	st.Broadcasts = framework.ClusterBroadcastStats{
		Sent: b.sent.Load(), Received: b.received.Load(), Unwanted: b.unwanted.Load(), Late: b.late.Load(),
		Backpressure: b.backpressure.Load(), Failed: b.failed.Load(),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	st.Broadcasts.QueuedBytes, st.Broadcasts.Subjects = b.bytes, b.inbox.Subjects()
}
