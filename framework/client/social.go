// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Party is the client's view of its party (framework/social). Make one for a client, by
// NewParty, before it connects. Its methods are safe to call from any goroutine.
type Party struct {
	c       *Client
	state   view[PartyState]
	invited view[Invitation]
}

// PartyState is a party. ID is 0 without one, and Why says how it ended: "left", "kicked".
type PartyState struct {
	ID      uint64
	Leader  string
	Size    uint32 // how many it may have
	Members []PartyMember
	Why     string
}

// PartyMember is a user of a party. One that is Away has no link; its place is kept.
type PartyMember struct {
	User  string
	Away  bool
	Ready bool
}

// Invitation is into a party, for so many milliseconds.
type Invitation struct {
	Party        uint64
	By           string
	Milliseconds uint32
}

// NewParty makes the view. A second one for the same client panics.
func NewParty(c *Client) *Party {
	p := &Party{c: c}
	OnMessage(c, "party.state", func(s PartyState) { p.state.take(s) })
	OnMessage(c, "party.invited", func(i Invitation) { p.invited.take(i) })
	c.onEnd(func(Reason) {
		if p.State().ID != 0 {
			p.state.take(PartyState{Why: "the session has ended"})
		}
	})
	return p
}

// OnChanged sets what is called whenever the party has changed. It runs where the handlers
// of OnMessage do.
func (p *Party) OnChanged(f func(PartyState)) { p.state.call(f) }

// OnInvited sets what is called for an invitation: see OnChanged.
func (p *Party) OnInvited(f func(Invitation)) { p.invited.call(f) }

// State returns the party.
func (p *Party) State() PartyState { return p.state.get() }

// Invite invites a user, into a new party if there is none. The errors of this and the
// others are as Request's: ErrorRefused if it may not be, ErrorFull if the party is full,
// ErrorBusy if too many are invited.
func (p *Party) Invite(ctx context.Context, user string) error {
	return p.c.Request(ctx, "party.invite", user, nil)
}

// Join accepts an invitation.
func (p *Party) Join(ctx context.Context, party uint64) error {
	return p.c.Request(ctx, "party.join", party, nil)
}

// Decline declines an invitation.
func (p *Party) Decline(ctx context.Context, party uint64) error {
	return p.c.Request(ctx, "party.decline", party, nil)
}

// Leave leaves the party. The lead passes on.
func (p *Party) Leave(ctx context.Context) error {
	return p.c.Request(ctx, "party.leave", nil, nil)
}

// Kick takes a user out of the party that the player leads.
func (p *Party) Kick(ctx context.Context, user string) error {
	return p.c.Request(ctx, "party.kick", user, nil)
}

// Lead passes the lead to a user.
func (p *Party) Lead(ctx context.Context, user string) error {
	return p.c.Request(ctx, "party.lead", user, nil)
}

// Ready says whether the player is ready. It is not any more when somebody comes or goes.
func (p *Party) Ready(ctx context.Context, ready bool) error {
	return p.c.Request(ctx, "party.ready", ready, nil)
}

// Presence says where a user is.
type Presence uint8

// The presences of a UserState.
const (
	Offline Presence = iota // has no session
	Away                    // has a session without a link: it may come back any moment
	Online                  // is there
	Playing                 // is there, and in a match
)

// UserState is where a user is, and what the game says of it.
type UserState struct {
	User     string
	Presence Presence
	Text     string
}

// Friends is the client's view of the users that it watches (framework/social). Make one
// for a client, by NewFriends, before it connects. Its methods are safe to call from any
// goroutine.
type Friends struct {
	c *Client

	mu        sync.Mutex            // guards the rest
	states    map[string]*UserState // another one each time that it is told
	ended     uint64                // sessions, and their watches with them
	onChanged func(UserState)
}

// NewFriends makes the view. A second one for the same client panics.
func NewFriends(c *Client) *Friends {
	f := &Friends{c: c, states: map[string]*UserState{}}
	OnMessage(c, "presence.changed", func(s UserState) { f.take(s) })
	OnMessage(c, "presence.all", func(all []UserState) { f.take(all...) })
	c.onEnd(func(Reason) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended++
		clear(f.states)
	})
	return f
}

func (f *Friends) take(all ...UserState) {
	for _, s := range all {
		f.mu.Lock()
		was := f.states[s.User]
		news := was == nil || *was != s
		f.states[s.User] = &s
		fn := f.onChanged
		f.mu.Unlock()
		if news && fn != nil {
			fn(s)
		}
	}
}

// OnChanged sets what is called when a user that is watched comes, goes, or does something
// else. It runs where the handlers of OnMessage do.
func (f *Friends) OnChanged(fn func(UserState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onChanged = fn
}

// Watch watches users, and returns where they are: those that the game lets the player
// watch. Watches end with the session: watch again when another one is opened. The error
// is as Request's: ErrorFull if they are too many.
func (f *Friends) Watch(ctx context.Context, users ...string) ([]UserState, error) {
	f.c.mu.Lock()
	ended := f.c.ended
	f.c.mu.Unlock()
	f.mu.Lock()
	before := maps.Clone(f.states)
	f.mu.Unlock()
	var all []UserState
	if err := f.c.Request(ctx, "presence.watch", users, &all); err != nil {
		return nil, err
	}
	f.watched(ended, before, all)
	return all, nil
}

// watched takes the answer to a Watch that was called when so many sessions had ended, and
// the states were those. If one more has ended by now, so have these watches.
func (f *Friends) watched(ended uint64, before map[string]*UserState, all []UserState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended > ended {
		return
	}
	for _, s := range all {
		if f.states[s.User] == before[s.User] { // else it was told of meanwhile, perhaps after this
			f.states[s.User] = &s
		}
	}
}

// Unwatch watches users no more, or nobody if none is named. The error is as Request's.
func (f *Friends) Unwatch(ctx context.Context, users ...string) error {
	if err := f.c.Request(ctx, "presence.unwatch", users, nil); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(users) == 0 {
		clear(f.states)
	}
	for _, user := range users {
		delete(f.states, user)
	}
	return nil
}

// All returns the users that are watched, by name.
func (f *Friends) All() []UserState {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]UserState, 0, len(f.states))
	for _, user := range slices.Sorted(maps.Keys(f.states)) {
		all = append(all, *f.states[user])
	}
	return all
}
