// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/transport"
)

// counters are what Stats tells. Any goroutine may count.
type counters struct {
	renewals, renewalsFailed atomic.Uint64
	pauses                   atomic.Uint64
	paused                   atomic.Int64 // ns
	claims, finds, parks     results
	asked                    [len(effectNames)]atomic.Uint64
	deaths                   atomic.Uint64
}

// results counts operations by what they came to, and last those that came to nothing.
type results [len(resultNames) + 1]atomic.Uint64

var resultNames = [...]string{
	core.Busy: "busy", core.Granted: "granted", core.AlreadyIn: "already_in", core.Taken: "taken", core.Redirect: "redirect",
	core.Mine: "mine", core.Missing: "missing", core.Superseded: "superseded", core.Released: "released", core.Parked: "parked", core.Fenced: "fenced",
}

var effectNames = [...]string{core.NoEffect: "waiting", core.EndIt: "evicted", core.ParkIt: "parked", core.GiveBack: "given_back", core.SayHere: "here"}

func (r *results) add(v core.Verdict, err error) {
	if err != nil {
		r[len(resultNames)].Add(1)
		return
	}
	r[v.Result].Add(1)
}

func (r *results) named() map[string]uint64 {
	m := named(r[:len(resultNames)], resultNames[:])
	if n := r[len(resultNames)].Load(); n > 0 {
		m["failed"] = n
	}
	return m
}

// named returns what was counted, by name.
func named(counts []atomic.Uint64, names []string) map[string]uint64 {
	m := map[string]uint64{}
	for i := range counts {
		if n := counts[i].Load(); n > 0 {
			m[names[i]] = n
		}
	}
	return m
}

// renewed counts what came of a read or a write of the lease, which was valid until until
// and is now until next.
func (n *counters) renewed(o core.Outcome, until, next, now time.Duration) {
	switch {
	case next > until:
		n.renewals.Add(1)
		if until > 0 && now > until {
			n.pauses.Add(1)
			n.paused.Add(int64(now - until))
		}
	case o != core.Written && o != core.Loaded:
		n.renewalsFailed.Add(1)
	}
}

// Stats implements framework.Cluster.
func (c *Cluster) Stats() framework.ClusterStats {
	n := &c.count
	st := framework.ClusterStats{
		Servers: map[string]int64{}, Sessions: map[string]int64{},
		Renewals: n.renewals.Load(), RenewalsFailed: n.renewalsFailed.Load(), Pauses: n.pauses.Load(), Paused: time.Duration(n.paused.Load()),
		Claims: n.claims.named(), Finds: n.finds.named(), Parks: n.parks.named(), Asked: named(n.asked[:], effectNames[:]), Deaths: n.deaths.Load(),
	}
	st.Messages = c.MessageStats()
	c.broadcasts.fill(&st)
	c.services.fill(&st)
	c.rooms.fill(&st)
	c.lists.fill(&st)
	c.bus.fill(&st)
	if !c.joined.Load() {
		return st
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for state, n := range c.holdings.Counts() {
		st.Sessions[state] = int64(n)
	}
	for _, m := range c.members.Living() {
		st.Servers[stateName(m.Draining)]++
		if m.Incarnation != c.me {
			st.Silence = max(st.Silence, c.watch.Silence(m.Incarnation.Node, now))
		}
	}
	if c.lease.Over() {
		st.Declared = 1
	}
	until := time.Duration(c.until.Load())
	st.LeaseLeft = max(until-now, 0)
	if until > 0 && until < now { // paused at present
		st.Pauses++
		st.Paused += now - until
	}
	return st
}

func stateName(draining bool) string {
	if draining {
		return "draining"
	}
	return "up"
}

// meter is a Bus that counts what is asked of it.
type meter struct {
	Bus
	log       *slog.Logger // set by Join
	said      logs.Limiter
	took      map[string]*transport.Histogram // by op; immutable
	failures  map[string]*atomic.Uint64       // by op; immutable
	conflicts atomic.Uint64
	blind     atomic.Uint64
}

// tookBounds go from what a directory in memory takes to what no client waits for.
var tookBounds = []int64{100e3, 200e3, 500e3, 1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6, 1e9, 2e9}

func newMeter(b Bus) *meter {
	m := &meter{Bus: b, took: map[string]*transport.Histogram{}, failures: map[string]*atomic.Uint64{}}
	for _, op := range []string{"get", "put", "ask"} {
		m.took[op], m.failures[op] = transport.NewHistogram(tookBounds), new(atomic.Uint64)
	}
	return m
}

// done counts a request that began at began.
func (m *meter) done(op string, began time.Time, err error) {
	m.took[op].Observe(int64(since(began)))
	if err != nil && !errors.Is(err, ErrConflict) {
		m.failures[op].Add(1)
	}
}

// complain says that the directory does not do what is asked of it: whoever asks tells a client
// that it is busy, and no more. What concerns the lease is said by keepLease.
func (m *meter) complain(ctx context.Context, key string, err error) {
	bucket, _, _ := strings.Cut(key, "/")
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(ctx.Err(), context.Canceled) || bucket == bucketLeases || m.log == nil {
		return
	}
	if n, ok := m.said.Allow(clock()); ok {
		m.log.Warn("a request to the directory failed", "bucket", bucket, "times", n, "error", err)
	}
}

// Get implements Bus. A request may be lost, as while the directory has no leader: whoever waits
// for longer asks again.
func (m *meter) Get(ctx context.Context, key string) (value []byte, rev uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	began := clock()
	value, rev, err = m.Bus.Get(ctx, key)
	m.done("get", began, err)
	m.complain(ctx, key, err)
	return value, rev, err
}

// Put implements Bus.
func (m *meter) Put(ctx context.Context, key string, value []byte, rev uint64) (next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	began := clock()
	next, err = m.Bus.Put(ctx, key, value, rev)
	m.done("put", began, err)
	m.complain(ctx, key, err)
	if errors.Is(err, ErrConflict) {
		m.conflicts.Add(1)
	}
	return next, err
}

// Watch implements Bus.
func (m *meter) Watch(ctx context.Context, bucket string, changed func(name string, value []byte, rev uint64), blind func()) error {
	return m.Bus.Watch(ctx, bucket, changed, func() {
		m.blind.Add(1)
		blind()
	})
}

// Ask implements Bus.
func (m *meter) Ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	began := clock()
	answer, err := m.Bus.Ask(ctx, name, question)
	m.done("ask", began, err)
	return answer, err
}

// fill adds what was counted.
func (m *meter) fill(st *framework.ClusterStats) {
	st.Conflicts, st.Blind = m.conflicts.Load(), m.blind.Load()
	st.Directory, st.Failures = map[string]transport.HistogramStats{}, map[string]uint64{}
	for op, h := range m.took {
		st.Directory[op], st.Failures[op] = h.Stats(), m.failures[op].Load()
	}
}
