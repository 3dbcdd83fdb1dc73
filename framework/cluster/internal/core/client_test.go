// SPDX-License-Identifier: MIT

package core

import (
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// client is a player's, with numbered packets to send, of which it must know what
// became of each.
type client struct {
	w       *world
	user    string
	id      session.ID
	at      *node
	link    int // 0: none
	open    bool
	knows   bool // that the session is another life, on this link
	attempt int
	heard   time.Duration
	lowest  uint64 // of the packets that are not acknowledged
	unacked []uint64
	to      *node // where it was sent
	gone    bool  // it was taken over, and stays away
	rests   time.Duration
	opening int   // its login: a HELLO is repeated with the same (session/SPEC.md 6.1)
	asked   *node // where its last HELLO went
	strayed bool  // one login's HELLOs went to several servers, which know nothing of each other's

	logins, resets int
}

type helloRequest struct{ opening, attempt int }

type resumeRequest struct {
	id      session.ID
	attempt int
	lowest  uint64
}

func (w *world) newClient(user string) {
	c := &client{w: w, user: user, lowest: 1}
	w.clients = append(w.clients, c)
	w.After(w.Between(3*time.Second, 6*time.Second), c.step)
}

// step is what the client does now and then.
func (c *client) step() {
	w := c.w
	w.After(w.Between(100*time.Millisecond, 900*time.Millisecond), c.step)
	switch {
	case c.gone || w.Now < c.rests:
	case c.link == 0 || w.Now-c.heard > 3*time.Second:
		c.connect()
	case !w.Quiet && w.Chance(0.01):
		c.link = 0 // lost
	case c.open:
		if len(c.unacked) < 20 && !w.oracle.ending {
			c.unacked = append(c.unacked, w.oracle.send(c))
		}
		for i, payload := range c.unacked { // again, all of it
			c.transmit(c.lowest+uint64(i), payload)
		}
		if len(c.unacked) == 0 {
			c.transmit(c.lowest-1, 0) // a heartbeat
		}
	}
}

func (c *client) transmit(number, payload uint64) {
	n, boot, id, link, knows := c.at, c.at.inc.Boot, c.id, c.link, c.knows
	c.w.After(c.w.Latency(), func() {
		n.deliver(boot, func() { n.data(id, link, number, payload, knows) })
	})
}

func (c *client) connect() {
	w := c.w
	n := c.at
	if c.to != nil {
		n, c.to = c.to, nil
	} else if n == nil || w.Chance(0.5) {
		n = w.nodes[w.Rng.IntN(len(w.nodes))]
	}
	w.oracle.links++
	c.at, c.link, c.open, c.heard, c.knows = n, w.oracle.links, false, w.Now, false
	c.attempt++
	link, r, h := c.link, resumeRequest{c.id, c.attempt, c.lowest}, helloRequest{c.opening, c.attempt}
	if r.id == (session.ID{}) {
		c.strayed = c.strayed || c.asked != nil && c.asked != n
		c.asked = n
	}
	w.After(w.Latency(), func() {
		n.deliver(n.inc.Boot, func() {
			if r.id == (session.ID{}) {
				n.hello(c, link, h)
			} else {
				n.resume(c, link, r)
			}
		})
	})
}

// hear takes what a node says.
func (c *client) hear(link int, a answer) {
	w := c.w
	if link != c.link || c.gone {
		return
	}
	c.heard = w.Now
	switch a.kind {
	case welcome:
		c.id, c.open, c.lowest, c.asked = a.id, true, 1, nil
		c.opening++
		c.logins++
	case resumed:
		c.open = true
		if a.restart {
			c.resets++
			c.lose()
			c.lowest, c.knows = a.recv+1, true
			return
		}
		c.acked(a.recv)
	case ack:
		if c.open {
			c.acked(a.recv)
		}
	case refusedBusy:
		c.link, c.rests = 0, w.Now+a.wait
	case refusedMoved, byeMoved:
		c.link, c.to = 0, a.to
	case byeGone:
		c.link = 0
	case refusedUnknown:
		c.lose()
		c.id, c.link, c.lowest = session.ID{}, 0, 1
	case refusedPresent:
		c.link, c.rests = 0, w.Now+w.Between(2*time.Second, 10*time.Second)
	case byeTakenOver:
		c.lose()
		c.gone, c.link = true, 0
		if w.course.again && !w.Quiet {
			c.gone, c.id, c.lowest = false, session.ID{}, 1
			c.rests = w.Now + w.Between(time.Second, 20*time.Second)
		}
	}
}

func (c *client) acked(recv uint64) {
	for len(c.unacked) > 0 && c.lowest <= recv {
		c.w.oracle.acked(c.unacked[0])
		c.unacked = c.unacked[1:]
		c.lowest++
	}
	if recv+1 > c.lowest {
		c.w.oracle.fail("%s: %d was acknowledged, and %d is the lowest", c.user, recv, c.lowest)
	}
}

// lose reports what may have been handled, or not.
func (c *client) lose() {
	for _, p := range c.unacked {
		c.w.oracle.report(p)
	}
	c.unacked = nil
}

// --- the oracle

// oracle knows all packets and what became of them.
type oracle struct {
	err     error
	w       *world
	links   int
	ending  bool // nothing new is sent
	packets []fate
	last    map[*client]uint64 // accepted
	faults  int

	lives     []life
	owners    map[string]Incarnation // by session and generation
	adoptions int
}

type fate struct {
	c                         *client
	accepted, acked, reported int
}

func (o *oracle) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf("at %v: "+format, append([]any{o.w.Now}, args...)...)
	}
}

func (o *oracle) send(c *client) uint64 {
	o.packets = append(o.packets, fate{c: c})
	return uint64(len(o.packets))
}

func (o *oracle) accept(n *node, s *simSession, payload uint64) {
	o.w.check("a packet")
	f := &o.packets[payload-1]
	if f.accepted++; f.accepted > 1 {
		o.fail("packet %d of %s is handled again, at %v", payload, f.c.user, n.inc)
	}
	if payload < o.last[f.c] {
		o.fail("packet %d of %s is handled after %d", payload, f.c.user, o.last[f.c])
	}
	if o.last == nil {
		o.last = map[*client]uint64{}
	}
	o.last[f.c] = payload
}

func (o *oracle) acked(payload uint64) {
	f := &o.packets[payload-1]
	if f.acked++; f.acked > 1 || f.accepted != 1 || f.reported != 0 {
		o.fail("packet %d of %s: acknowledged %d times, handled %d times, reported %d times", payload, f.c.user, f.acked, f.accepted, f.reported)
	}
}

func (o *oracle) report(payload uint64) {
	f := &o.packets[payload-1]
	if f.reported++; f.reported > 1 || f.acked != 0 {
		o.fail("packet %d of %s: reported %d times, acknowledged %d times", payload, f.c.user, f.reported, f.acked)
	}
}

// check is the rule of all rules: no two nodes that may act have one session, nor,
// where a user has one, two of the user's. A node that serves on without a lease is none of
// them: that is what Serve gives up. It still handles nothing twice.
func (w *world) check(when string) {
	owners := map[session.ID]*node{}
	users, lives := map[string]*node{}, map[int]bool{}
	for _, n := range w.nodes {
		if !n.acting() {
			continue
		}
		for id, s := range n.sessions {
			if other := owners[id]; other != nil {
				w.oracle.fail("after %s: %v and %v both have session %v", when, other.inc, n.inc, id)
			}
			owners[id] = n
			if other := users[s.user]; other != nil && other != n && w.course.policy != Allow {
				w.oracle.fail("after %s: %v and %v both have a session of %s", when, other.inc, n.inc, s.user)
			}
			users[s.user] = n
			if lives[s.life] {
				w.oracle.fail("after %s: life %d of %s goes on twice, at %v too", when, s.life, s.user, n.inc)
			}
			lives[s.life] = true
		}
	}
}

// undisturbed says what players have noticed of a course in which no server was killed or
// declared dead: they should have noticed nothing.
func (w *world) undisturbed() error {
	if w.course.again {
		for i, l := range w.oracle.lives {
			if l.lost {
				return fmt.Errorf("no server was killed, and life %d of %s is lost", i+1, l.user)
			}
		}
		return nil
	}
	for _, c := range w.clients {
		if c.resets > 0 || (c.logins != 1 || c.gone) && !c.strayed {
			return fmt.Errorf("no server was killed, and %s had %d resets and %d logins, and was taken over: %v", c.user, c.resets, c.logins, c.gone)
		}
	}
	return nil
}

// settled says what is not as it should be once all faults are over.
func (w *world) settled() error {
	if w.oracle.err != nil {
		return w.oracle.err
	}
	for i, f := range w.oracle.packets {
		if f.acked+f.reported != 1 {
			w.Note("%s: %+v", f.c.user, *f.c)
			return fmt.Errorf("packet %d of %s: handled %d times, acknowledged %d times, reported %d times", i+1, f.c.user, f.accepted, f.acked, f.reported)
		}
	}
	for _, c := range w.clients {
		if !c.gone && !c.open && w.course.policy != Reject {
			return fmt.Errorf("%s is not back", c.user)
		}
	}
	return nil
}
