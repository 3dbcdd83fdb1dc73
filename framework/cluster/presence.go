// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/fan"
	"github.com/lifeline-go/lifeline/framework/social"
)

// presence is what this server knows of users at others. Every server tells of its users
// what has changed, by broadcasts that are heard where one of them is watched. What may have
// been missed is asked of all servers. It implements social.Others.
type presence struct {
	c       *Cluster
	wake    bell
	here    func(users []string) []social.UserState
	changed func(user string)

	mu sync.Mutex
	// Guarded by mu.
	told  uint64                   // how much was told by this server
	users map[string]seen          // that are watched here
	tags  map[string]int           // watched users by tag
	asks  map[string]time.Duration // when users are asked for
	ends  map[string]time.Duration // when something that was said of them is worth nothing
	died  bool                     // a server has
}

// seen is a watched user, by what each server has said of it.
type seen map[core.Incarnation]said

// said is what a server says of a user.
type said struct {
	state social.UserState
	order uint64        // of what that server says
	moved bool          // the session has left for another server
	until time.Duration // if not zero, it is worth nothing then
}

// userBody is what one server tells others of a user. Fields are only ever appended.
type userBody struct {
	User     string
	Presence uint8
	Text     string
	Moved    bool
	Order    uint64
}

// usersBody answers what a server knows of some users: those that are not there are left out.
type usersBody struct {
	Order uint64
	Users []userBody
}

const (
	routePresence = "lifeline.presence"

	// movedFor is how long a session may be on its way before all are asked for it, and
	// offlineFor how long it is remembered that a user has left, for an older answer that
	// is on its way.
	movedFor   = 30 * time.Second
	offlineFor = 10 * time.Second
	// presenceTime bounds how long other servers are asked, presenceAgain when one is asked
	// again that did not answer, and presenceMost how many users it is asked for at once.
	presenceTime  = time.Second
	presenceAgain = 5 * time.Second
	presenceMost  = 1000
)

// Presence is how players here see where users of other servers are: for
// social.PresenceConfig.Others.
func (c *Cluster) Presence() social.Others { return c.presence }

func newPresence(c *Cluster) *presence {
	return &presence{c: c, wake: newBell(), users: map[string]seen{}, tags: map[string]int{}, asks: map[string]time.Duration{}, ends: map[string]time.Duration{}}
}

// presenceTag spreads users over tags, so that a server hears of those that it may watch.
func presenceTag(user string) string { return strconv.Itoa(fan.Bucket(user)) }

func presenceKey(tag string) fan.Key { return fan.Key{Kind: castPresence, Tag: tag} }

// Begin implements social.Others.
func (ps *presence) Begin(here func(users []string) []social.UserState, changed func(user string)) {
	ps.here, ps.changed = here, changed
	Handle(ps.c, routePresence, func(_ context.Context, _ Member, users []string) (usersBody, error) {
		ps.mu.Lock()
		a := usersBody{Order: ps.told} // what is told while we look comes after it
		ps.mu.Unlock()
		for _, s := range ps.here(users) {
			a.Users = append(a.Users, userBody{User: s.User, Presence: uint8(s.Presence), Text: s.Text})
		}
		return a, nil
	})
}

// Tell implements social.Others.
func (ps *presence) Tell(s social.UserState, moved bool) {
	if !ps.c.messages.isOpen() {
		return
	}
	ps.mu.Lock()
	ps.told++
	order := ps.told
	if moved && ps.users[s.User] != nil {
		ps.takeLocked(ps.c.me, s, moved, order)
	} else if at := ps.users[s.User]; at != nil {
		delete(at, ps.c.me)
	}
	ps.mu.Unlock()
	body := encode(&userBody{s.User, uint8(s.Presence), s.Text, moved, order})
	if err := ps.c.broadcasts.put(cast{key: presenceKey(presenceTag(s.User)), body: body}); err != nil {
		ps.c.broadcasts.complain("the presence of a user is not told to other servers", err)
	}
}

// Watch implements social.Others.
func (ps *presence) Watch(users []string) {
	var news []string
	now := ps.c.now()
	ps.mu.Lock()
	for _, user := range users {
		if ps.users[user] != nil {
			continue
		}
		news = append(news, user)
		ps.users[user] = seen{}
		tag := presenceTag(user)
		if ps.tags[tag]++; ps.tags[tag] == 1 {
			ps.c.broadcasts.want(presenceKey(tag), true)
			ps.asks[user] = now + presenceTime // once more when it is surely heard
		}
	}
	ps.mu.Unlock()
	if len(news) > 0 && ps.c.messages.isOpen() {
		ps.ask(news)
		ps.wake.ring()
	}
}

// Unwatch implements social.Others.
func (ps *presence) Unwatch(user string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.users[user] == nil {
		return
	}
	delete(ps.users, user)
	delete(ps.asks, user)
	delete(ps.ends, user)
	tag := presenceTag(user)
	if ps.tags[tag]--; ps.tags[tag] == 0 {
		delete(ps.tags, tag)
		ps.c.broadcasts.want(presenceKey(tag), false)
	}
}

// Of implements social.Others.
func (ps *presence) Of(user string) social.UserState {
	best := social.UserState{User: user}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if at := ps.users[user]; at != nil {
		for _, s := range at {
			if s.state.Presence > best.Presence {
				best = s.state
			}
		}
	}
	return best
}

// takeLocked notes what a server says of a watched user.
func (ps *presence) takeLocked(from core.Incarnation, s social.UserState, moved bool, order uint64) {
	at := ps.users[s.User]
	if old, ok := at[from]; ok && old.order > order {
		return
	}
	next := said{state: s, order: order, moved: moved}
	switch {
	case moved:
		next.until = ps.c.now() + movedFor
	case s.Presence == social.Offline:
		next.until = ps.c.now() + offlineFor
	}
	for other, old := range at {
		if other != from && old.moved && s.Presence != social.Offline {
			delete(at, other) // it has arrived
		} else if moved && other != from && old.state.Presence != social.Offline {
			next = said{state: social.UserState{User: s.User}, order: order, until: ps.c.now() + offlineFor}
		}
	}
	at[from] = next
	if until, ok := ps.ends[s.User]; next.until > 0 && (!ok || next.until < until) {
		ps.ends[s.User] = next.until
		ps.wake.ring()
	}
}

// heard takes what another server tells of a user.
func (ps *presence) heard(from core.Incarnation, body []byte) error {
	var b userBody
	if err := decode(body, &b); err != nil {
		return err
	}
	ps.mu.Lock()
	watched := ps.users[b.User] != nil
	if watched {
		ps.takeLocked(from, b.state(), b.Moved, b.Order)
	}
	ps.mu.Unlock()
	if watched {
		ps.changed(b.User)
	}
	return nil
}

func (b *userBody) state() social.UserState {
	return social.UserState{User: b.User, Presence: min(social.Presence(b.Presence), social.Playing), Text: b.Text}
}

// missed is told that something of a tag did not get here: its users are asked for.
func (ps *presence) missed(tag string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for user := range ps.users {
		if presenceTag(user) == tag {
			ps.asks[user] = 0
		}
	}
	ps.wake.ring()
}

// ask asks all other servers for users, and waits for their answers.
func (ps *presence) ask(users []string) {
	for len(users) > presenceMost {
		ps.ask(users[:presenceMost])
		users = users[presenceMost:]
	}
	ctx, cancel := context.WithTimeout(ps.c.ctx, presenceTime)
	defer cancel()
	var asking sync.WaitGroup
	for _, m := range ps.c.Members() {
		if m.incarnation == ps.c.me {
			continue
		}
		asking.Go(func() { // ends with ctx
			ps.askOne(ctx, m.incarnation, users)
		})
	}
	asking.Wait()
	for _, user := range users {
		ps.changed(user)
	}
}

func (ps *presence) askOne(ctx context.Context, of core.Incarnation, users []string) {
	body, err := codec.AppendBody(nil, users)
	if err != nil {
		return // names of users are texts
	}
	q := callBody{Node: ps.c.me.Node, Boot: ps.c.me.Boot, Route: routePresence, Body: body}
	r, err := ps.c.services.ask(ctx, of, &q)
	var a usersBody
	if err == nil && r.Result == callDone {
		err = decode(r.Body, &a)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err != nil || r.Result == callAway {
		for _, user := range users {
			if ps.users[user] != nil {
				ps.asks[user] = ps.c.now() + presenceAgain
			}
		}
		return
	}
	there := map[string]bool{}
	for _, b := range a.Users {
		there[b.User] = true
		if ps.users[b.User] != nil {
			ps.takeLocked(of, b.state(), false, a.Order)
			if b.Presence == uint8(social.Away) { // a link that is back at once is told of by no hook
				ps.asks[b.User] = ps.c.now() + presenceAgain
			}
		}
	}
	for _, user := range users {
		if at := ps.users[user]; at != nil && !there[user] {
			if s, ok := at[of]; ok && s.order <= a.Order && !s.moved {
				delete(at, of)
			}
		}
	}
}

// keep asks for what may have been missed, and forgets what is worth nothing any more.
func (ps *presence) keep() {
	for ps.c.ctx.Err() == nil {
		now := ps.c.now()
		ask, changed, next := ps.look(now)
		for _, user := range changed {
			ps.changed(user)
		}
		if len(ask) > 0 {
			ps.ask(ask)
		}
		ps.wake.sleep(ps.c.ctx, max(next-now, 100*time.Millisecond))
	}
}

// look returns the users to be asked for, those of which something has changed, and when to
// look again.
func (ps *presence) look(now time.Duration) (ask, changed []string, next time.Duration) {
	next = now + time.Hour
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.died {
		ps.died = false
		changed = ps.forgetDeadLocked()
	}
	for user, until := range ps.ends {
		if until > now {
			next = min(next, until)
			continue
		}
		delete(ps.ends, user)
		at := ps.users[user]
		for from, s := range at {
			switch {
			case s.until > now:
				ps.ends[user] = s.until // a map that grows may show it now, or the next time
				next = min(next, s.until)
			case s.until > 0:
				delete(at, from)
				if s.moved { // it has not arrived
					ps.asks[user] = now
				}
			}
		}
	}
	for user, at := range ps.asks {
		if at <= now {
			ask = append(ask, user)
			delete(ps.asks, user)
		} else {
			next = min(next, at)
		}
	}
	return ask, changed, next
}

// forgetDeadLocked forgets what servers have said that are dead, but of sessions that had
// left them before. It returns the users that it was about.
func (ps *presence) forgetDeadLocked() (changed []string) {
	dead := map[core.Incarnation]bool{}
	for user, at := range ps.users {
		for from, s := range at {
			is, known := dead[from]
			if !known {
				is = ps.c.dead(from)
				dead[from] = is
			}
			if is && !s.moved {
				delete(at, from)
				changed = append(changed, user)
			}
		}
	}
	return changed
}

// serverDied is told that there is a tombstone.
func (ps *presence) serverDied() {
	ps.mu.Lock()
	ps.died = true
	ps.mu.Unlock()
	ps.wake.ring()
}
