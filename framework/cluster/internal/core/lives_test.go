// SPDX-License-Identifier: MIT

package core

import (
	"fmt"

	"github.com/lifeline-go/lifeline/session"
)

// life is what the game knows of a user. With Adopt it goes on in the user's next session, so it
// ends only with its server.
type life struct {
	user   string
	played uint64      // packets
	at     Incarnation // which had it when it was last seen; zero: the directory
	lost   bool        // with its server
}

// begin makes a life for a user that has none.
func (o *oracle) begin(n *node, user string) int {
	o.w.checkLives("a new life")
	for i, l := range o.lives {
		if o.adopts() && l.user == user && !l.lost {
			o.fail("%v begins a new life for %s, and life %d is at %v", n.inc, user, i+1, l.at)
		}
	}
	o.lives = append(o.lives, life{user: user, at: n.inc})
	return len(o.lives)
}

func (o *oracle) adopts() bool { return o.w.course.policy == Adopt }

// goesOn takes a session that a node goes on with from a record.
func (o *oracle) goesOn(n *node, s *simSession) {
	if l := o.lives[s.life-1]; o.adopts() && (l.user != s.user || l.played != s.played) {
		o.fail("%v goes on with life %d of %s from %d, and %d were played", n.inc, s.life, s.user, s.played, l.played)
	}
	o.w.checkLives("a record")
}

func (o *oracle) played(s *simSession) { o.lives[s.life-1].played = s.played }

// owns takes that a node was told to own a session.
func (o *oracle) owns(n *node, id session.ID, gen uint64) {
	key := fmt.Sprint(id, gen)
	if other, ok := o.owners[key]; ok && other != n.inc {
		o.fail("%v and %v both own %v with generation %d", other, n.inc, id, gen)
	}
	if o.owners == nil {
		o.owners = map[string]Incarnation{}
	}
	o.owners[key] = n.inc
}

// isKilled reports that the process of an incarnation has ended.
func (w *world) isKilled(i Incarnation) bool {
	n := w.nodes[i.Node-1]
	return n.inc != i || !n.alive
}

// isDead reports that an incarnation has ended, or was declared dead.
func (w *world) isDead(i Incarnation) bool {
	v, _ := w.dir.Latest(fmt.Sprint("l", i.Node)).Value.(LeaseValue)
	return w.isKilled(i) || v.Owner == i && v.Dead
}

// sessionOf returns what an entry stands for: what its owner has, or else its record. It is nil if
// its owner is dead.
func (w *world) sessionOf(e Entry) *simSession {
	if e.Owner != (Incarnation{}) {
		n := w.nodes[e.Owner.Node-1]
		switch {
		case w.isDead(e.Owner):
			return nil
		case n.sessions[e.Session] != nil:
			return n.sessions[e.Session]
		case n.inHand[e.Session] != nil:
			return n.inHand[e.Session]
		}
	}
	if e.Record == nil {
		return nil
	}
	if s := decode(e.Session, e.Record, &client{}); s.life == 0 || s.played == w.oracle.lives[s.life-1].played {
		return s
	}
	return nil // it is old
}

// checkLives is the rule of Adopt: a life is at one living server or in the directory, or was
// lost with its server. A server that leaves loses none.
func (w *world) checkLives(when string) {
	if w.course.policy != Adopt {
		return
	}
	at, crashed := map[int]Incarnation{}, map[int]bool{}
	for _, key := range w.dir.names {
		b, _ := w.dir.Latest(key).Value.([]byte)
		entries, _ := ParseEntries(b)
		for _, e := range entries {
			if s := w.sessionOf(e); s != nil && s.life > 0 {
				at[s.life] = e.Owner
			} else if s == nil && e.Record != nil && e.Owner != (Incarnation{}) && !w.left[e.Owner] && w.isKilled(e.Owner) {
				// A write that came late has taken it: as if that server had crashed then.
				crashed[decode(e.Session, e.Record, &client{}).life] = true
			}
		}
	}
	for i := range w.oracle.lives {
		l := &w.oracle.lives[i]
		where, ok := at[i+1]
		switch {
		case ok:
			l.at, l.lost = where, false
		case !l.lost && !crashed[i+1] && (l.at == Incarnation{} || w.left[l.at] || !w.isDead(l.at)):
			w.oracle.fail("after %s: life %d of %s is lost, which was at %v", when, i+1, l.user, l.at)
		default:
			l.lost = true
		}
	}
}
