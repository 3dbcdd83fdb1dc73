// SPDX-License-Identifier: MIT

package session

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// found is what an exploration ends with.
type found struct {
	states, transitions, settled int
	depth                        int
	bad                          string // "" or the violation with its trace
}

// check holds a state against the reference.
func (m *model) check(st *modelState) {
	if m.outwards {
		return
	}
	c := &st.c
	modelCounts(st, "client", &c.endpoint, st.first)
	if c.sent != uint64(st.sent) {
		st.fail("the client counts %d of %d sent", c.sent, st.sent)
	}
	if st.seat >= 0 {
		e := &st.seats[st.seat]
		if !c.have || c.recv != uint64(e.base+e.seen) {
			st.fail("the client counts %d accepted and its app saw %d", c.recv, e.base+e.seen)
		}
		if c.acked > uint64(e.got) || uint64(e.got) > c.wrote {
			st.fail("the client believes %d acknowledged of %d written, the server's app saw %d", c.acked, c.wrote, e.got)
		}
	}
	live := 0
	for i := range st.seats {
		e := &st.seats[i]
		s := &e.s
		modelCounts(st, "server", &s.endpoint, 0)
		if s.sent != uint64(e.sent) || s.recv != uint64(e.got) {
			st.fail("the session counts %d sent and %d accepted, its app %d and %d", s.sent, s.recv, e.sent, e.got)
		}
		if s.state != Closed && s.acked > uint64(max(e.base+e.seen, e.givenUp)) {
			st.fail("the session believes %d acknowledged, the client's app saw %d", s.acked, e.base+e.seen)
		}
		at, found := st.table.Get(s.id)
		if (s.state == Closed) == found || found && at != uint8(i) {
			st.fail("a session that is %v is in the table: %v", s.state, found)
		}
		if s.state != Closed {
			live++
		} else if s.out.len() > 0 {
			st.fail("a closed session keeps %d packets", s.out.len())
		}
		if s.state == Attached && s.confirmed != e.heard {
			st.fail("the session believes its client heard: %v", s.confirmed)
		}
		l := st.linkOf(e.link)
		if (s.state == Attached) != (e.link != 0) || e.link != 0 && (l == nil || l.closed || l.epoch != s.epoch || int(l.seat) != i) {
			st.fail("a session that is %v is on link %d", s.state, e.link)
		}
	}
	if st.table.Len() != live {
		st.fail("%d sessions in the table, %d live", st.table.Len(), live)
	}
}

// modelCounts: trimmed ≤ acknowledged ≤ sent, and what is kept is what is not
// acknowledged.
func modelCounts(st *modelState, who string, e *endpoint, first uint8) {
	if e.acked > e.wrote || e.wrote > e.sent || e.next <= e.acked || e.next > e.sent+1 {
		st.fail("%s: acked %d wrote %d sent %d next %d", who, e.acked, e.wrote, e.sent, e.next)
		return
	}
	if n := e.out.len(); n > 0 {
		if uint64(n) != e.sent-e.acked {
			st.fail("%s: keeps %d of %d ... %d", who, n, e.acked+1, e.sent)
			return
		}
		for i := range n {
			if body := e.out.at(i).body; body[0] != first+uint8(e.acked)+uint8(i)+1 {
				st.fail("%s: keeps message %d as number %d", who, body[0], int(e.acked)+i+1)
			}
		}
	}
}

// fair is what happens next when there is no adversary: everything arrives, a
// dead link is noticed, the client comes back. ok is false at the end.
func (st *modelState) fair() (ch modelChoice, ok bool) {
	for i := range st.links {
		l := &st.links[i]
		switch {
		case len(l.up) > 0:
			return modelChoice{reaches, l.nonce}, true
		case len(l.down) > 0:
			return modelChoice{comesBack, l.nonce}, true
		case !l.left && l.over():
			return modelChoice{clientLeaves, l.nonce}, true
		case l.left && !l.closed:
			return modelChoice{serverLeaves, l.nonce}, true
		}
	}
	switch c := &st.c; c.state {
	case Waiting:
		return modelChoice{dials, 0}, true
	case Opening: // nothing came in time
		return modelChoice{clientLeaves, st.link}, true
	case Open:
		if st.seat >= 0 && (c.out.len() > 0 || st.seats[st.seat].s.out.len() > 0) && st.seats[st.seat].s.state == Attached {
			return modelChoice{pings, 0}, true
		}
	}
	return modelChoice{}, false
}

// rested holds the end of a fair continuation against the promise: back with
// everything delivered, or ended and the client knows it.
func (st *modelState) rested() {
	switch st.c.state {
	case Ended:
		for i := range st.seats {
			if st.seats[i].s.state == Attached {
				st.fail("the client has ended and a session is attached")
			}
		}
	case Open:
		if st.seat < 0 {
			st.fail("the client is open without a session")
			return
		}
		e, l := &st.seats[st.seat], st.linkOf(st.link)
		switch {
		case e.s.state != Attached || e.link != st.link || l == nil || l.cut || l.closed || !e.s.confirmed:
			st.fail("the client is open on link %d, its session %v on %d", st.link, e.s.state, e.link)
		case e.got != st.sent || e.base+e.seen != e.sent:
			st.fail("%d of %d messages reached the server, %d of %d the client", e.got, st.sent, e.base+e.seen, e.sent)
		}
	default:
		st.fail("the client rests %v", st.c.state)
	}
}

type modelHash [16]byte

func (m *model) hash(st *modelState) modelHash {
	sum := sha256.Sum256(m.key(st))
	return modelHash(sum[:16])
}

// settle leaves a state alone and expects a good end. known are states from
// which there is one.
func (m *model) settle(st *modelState, h modelHash, known map[modelHash]struct{}) (last *modelState, trail []modelChoice) {
	var path []modelHash
	m.at = st
	for {
		if _, ok := known[h]; ok {
			break
		}
		path = append(path, h)
		if len(path) > 100 {
			st.fail("it never comes to rest")
			return st, trail
		}
		ch, ok := st.fair()
		if !ok {
			if st.rested(); st.bad != "" {
				return st, trail
			}
			break
		}
		if len(trail) == 0 {
			st = st.clone()
			st.left = modelBudget{}
		}
		trail = append(trail, ch)
		if m.step(st, ch); st.bad != "" {
			return st, trail
		}
		h = m.hash(st)
	}
	for _, h := range path {
		known[h] = struct{}{}
	}
	return st, trail
}

// first returns the state that a slice begins with.
func (m *model) first(sl slice) *modelState {
	st := m.start()
	if sl.open {
		st, _ = m.settle(st, m.hash(st), map[modelHash]struct{}{})
	}
	st.left = sl.budget
	return st
}

// explore visits every state of a slice.
func (m *model) explore(sl slice) (f found) {
	type node struct {
		parent int32
		ch     modelChoice
	}
	type visit struct {
		h    modelHash
		left uint64
	}
	type open struct {
		st *modelState
		at int32
	}
	nodes := []node{{-1, modelChoice{}}}
	root := m.first(sl)
	seen := map[visit]struct{}{{m.hash(root), root.choices()}: {}}
	known := map[modelHash]struct{}{}
	report := func(at int32, bad string, trail []modelChoice) {
		var path []modelChoice
		for ; at > 0; at = nodes[at].parent {
			path = append(path, nodes[at].ch)
		}
		slices.Reverse(path)
		f.bad = bad + m.trace(sl, path, trail)
	}
	var choices []modelChoice
	frontier, next := []open{{root, 0}}, []open(nil)
	for ; len(frontier) > 0; f.depth++ {
		next = next[:0]
		for i, o := range frontier {
			frontier[i].st = nil
			choices = o.st.enabled(choices[:0])
			for _, ch := range choices {
				st := o.st.clone()
				m.step(st, ch)
				f.transitions++
				if st.bad != "" {
					nodes = append(nodes, node{o.at, ch})
					report(int32(len(nodes)-1), st.bad, nil)
					f.states = len(seen)
					return f
				}
				v := visit{m.hash(st), st.choices()}
				if _, ok := seen[v]; ok {
					continue
				}
				seen[v] = struct{}{}
				nodes = append(nodes, node{o.at, ch})
				at := int32(len(nodes) - 1)
				if end, trail := m.settle(st, v.h, known); end.bad != "" {
					report(at, end.bad, trail)
					f.states = len(seen)
					return f
				}
				next = append(next, open{st, at})
			}
		}
		frontier, next = next, frontier
	}
	f.states, f.settled = len(seen), len(known)
	return f
}

// trace tells in words how a violation comes about.
func (m *model) trace(sl slice, path, trail []modelChoice) string {
	var b strings.Builder
	st := m.first(sl)
	for i, ch := range path {
		fmt.Fprintf(&b, "\n%3d. %s", i+1, st.describe(ch))
		m.step(st, ch)
	}
	for i, ch := range trail {
		if i == 0 {
			b.WriteString("\n     left alone, then:")
			st.left = modelBudget{}
		}
		if i == 20 {
			b.WriteString("\n     ... and so on")
			break
		}
		fmt.Fprintf(&b, "\n     %s", st.describe(ch))
		m.step(st, ch)
	}
	return b.String()
}

func exploreSlice(t *testing.T, sl slice, fault modelFault, outwards bool) found {
	t.Helper()
	m := newModel(Config{SendPackets: sl.small})
	m.fault, m.outwards = fault, outwards
	begin := time.Now()
	f := m.explore(sl)
	t.Logf("%d states, %d transitions, %d deep, %d on the way to rest, %v", f.states, f.transitions, f.depth, f.settled, time.Since(begin).Round(time.Millisecond))
	return f
}

// difference names the first field, in depth, in which two values differ.
func difference(a, b reflect.Value) string {
	if a.Kind() == reflect.Struct {
		for i := range a.NumField() {
			if d := difference(a.Field(i), b.Field(i)); d != "" {
				return a.Type().Field(i).Name + " " + d
			}
		}
		return ""
	}
	if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); x != y {
		return fmt.Sprintf("was %s and is %s", x, y)
	}
	return ""
}
