// SPDX-License-Identifier: MIT

package social

import (
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// party is players who stay together. It knows no clock and no lock: what it is told
// comes with the time. Owned by Parties.
type party struct {
	id      uint64
	members []*member // the leader first, then by how long they have been in
	invites []invite
}

// member is a user of a party.
type member struct {
	user  string
	p     *framework.Player // nil while the user logs in anew
	away  bool              // without a link
	ready bool
}

// invite is for one user, until a time.
type invite struct {
	user  string
	until time.Time
}

func (pt *party) member(user string) *member {
	if i := slices.IndexFunc(pt.members, func(m *member) bool { return m.user == user }); i >= 0 {
		return pt.members[i]
	}
	return nil
}

func (pt *party) leads(user string) bool { return pt.members[0].user == user }

// invited takes the open invitation of a user out.
func (pt *party) invited(user string) {
	pt.invites = slices.DeleteFunc(pt.invites, func(i invite) bool { return i.user == user })
}

// stands reports whether a user is invited.
func (pt *party) stands(user string, now time.Time) bool {
	return slices.ContainsFunc(pt.invites, func(i invite) bool { return i.user == user && i.until.After(now) })
}

// changed makes everybody say again that it is ready: the party is another one.
func (pt *party) changed() {
	for _, m := range pt.members {
		m.ready = false
	}
}

func (pt *party) remove(user string) {
	pt.members = slices.DeleteFunc(pt.members, func(m *member) bool { return m.user == user })
	pt.changed()
}

// lead passes the lead on.
func (pt *party) lead(m *member) {
	i := slices.Index(pt.members, m)
	pt.members = slices.Insert(slices.Delete(pt.members, i, i+1), 0, m)
}

// players are those that have a session.
func (pt *party) players() (all []*framework.Player) {
	for _, m := range pt.members {
		if m.p != nil {
			all = append(all, m.p)
		}
	}
	return all
}

func (pt *party) state(size int) PartyState {
	s := PartyState{Party: pt.id, Leader: pt.members[0].user, Size: uint32(size), Members: []PartyMember{}}
	for _, m := range pt.members {
		s.Members = append(s.Members, PartyMember{m.user, m.away || m.p == nil, m.ready})
	}
	return s
}
