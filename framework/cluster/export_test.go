// SPDX-License-Identifier: MIT

package cluster

import (
	"fmt"
	"reflect"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// EndMark is what the end of the process does to its mark.
func (c *Cluster) EndMark() { _ = c.mark.Close() }

// MaxCalls is how many handlers of calls may run at once.
const MaxCalls = maxCalls

// Suspend does to the clocks what it does that the machine is suspended: the wall clock goes on.
func (c *Cluster) Suspend(d time.Duration) { c.ahead.Add(-int64(d)) }

// Name is the server's name on the bus.
func (c *Cluster) Name() string { return c.me.String() }

// Left lists what a server remembers of others, and of sessions and users, that comes and goes.
func (c *Cluster) Left() (left []string) {
	note := func(what string, n int) {
		if n != 0 {
			left = append(left, fmt.Sprintf("%s: %d", what, n))
		}
	}
	c.mu.Lock()
	note("sessions that were asked for", len(c.given))
	note("clients that were sent elsewhere", len(c.sent))
	note("servers that were declared dead", len(c.declared))
	c.mu.Unlock()
	m := c.messages
	m.mu.Lock()
	var went, came int // dead ones
	for _, to := range reflect.ValueOf(m.sender).Elem().FieldByName("pipes").MapKeys() {
		if c.dead(core.Incarnation{Node: uint16(to.FieldByName("Node").Uint()), Boot: uint32(to.FieldByName("Boot").Uint())}) {
			went++
		}
	}
	for from := range m.from {
		if c.dead(from) {
			came++
		}
	}
	note("dead servers that messages went to", went)
	note("dead servers that messages came from", came)
	note("calls", m.calls.Len())
	m.mu.Unlock()
	c.bans.mu.Lock()
	note("users with bans", len(c.bans.byKey))
	note("fresh bans", len(c.bans.fresh))
	c.bans.mu.Unlock()
	ps := c.presence
	ps.mu.Lock()
	note("watched users", len(ps.users)+len(ps.tags)+len(ps.asks)+len(ps.ends))
	ps.mu.Unlock()
	c.rooms.mu.Lock()
	note("rooms that wait", len(c.rooms.waiting))
	c.rooms.mu.Unlock()
	return left
}
