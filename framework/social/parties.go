// SPDX-License-Identifier: MIT

package social

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/putoff"
)

// The routes of parties: framework/client/CLIENT.md 9.
const (
	RouteInvite  = "party.invite"  // request: a user, answered by PartyState
	RouteJoin    = "party.join"    // request: a party, answered by PartyState
	RouteDecline = "party.decline" // request: a party, answered by true
	RouteLeave   = "party.leave"   // request: nothing, answered by true
	RouteKick    = "party.kick"    // request: a user, answered by true
	RouteLead    = "party.lead"    // request: a user, answered by true
	RouteReady   = "party.ready"   // request: a bool, answered by true
	RouteParty   = "party.state"   // push: PartyState
	RouteInvited = "party.invited" // push: Invitation
)

// PartyState is what members are told whenever anything of it changes. Party 0 is none.
type PartyState struct {
	Party   uint64
	Leader  string
	Size    uint32 // how many it may have
	Members []PartyMember
	// Why the player is in no party any more: "left", "kicked", empty else.
	Why string
}

// PartyMember is a user of a PartyState.
type PartyMember struct {
	User  string
	Away  bool // without a link; the place is kept
	Ready bool
}

// Invitation is what a user is told that may join.
type Invitation struct {
	Party uint64
	By    string
	// Left is for how long, in milliseconds.
	Left uint32
}

// PartyConfig says what parties are. The zero value works.
type PartyConfig struct {
	// Size is how many members a party may have. If zero, 5.
	Size int
	// InviteFor is how long an invitation stands. If zero, 1 minute.
	InviteFor time.Duration
	// Invites bounds the open invitations of a party, and those of a user. If zero, 16.
	Invites int
	// MayInvite reports whether a player may invite a user, as a friend that has not
	// blocked it. It may block. If nil, anybody may.
	MayInvite func(p *framework.Player, user string) bool
	// AllReady keeps a party from Together until every member is ready.
	AllReady bool
	// OnChange is told when somebody has come into a party or has left it, with all that are
	// in it now or were until then and have a session: take them out of their queue, by
	// match.Matchmaker.Cancel. It runs where the change was made. If nil, it is not called.
	OnChange func(players []*framework.Player)
}

// Parties are those of a server. Its methods are safe to call from any goroutine.
type Parties struct {
	srv *framework.Server
	cfg PartyConfig

	mu putoff.Mutex
	// Guarded by mu.
	last    uint64
	byUser  map[string]*party
	byID    map[uint64]*party
	invites map[string]map[*party]bool // by user: those of the parties' invites, some of which may have expired
	away    map[*framework.Player]bool // players without a link, as the hooks have told
	total   struct{ made, invited, joined, left, kicked, refused uint64 }
}

// NewParties makes the parties of a server, before its Start, and registers their routes.
// What can't be meant panics.
func NewParties(srv *framework.Server, cfg PartyConfig) *Parties {
	if cfg.Size < 0 || cfg.InviteFor < 0 || cfg.Invites < 0 {
		panic(fmt.Sprintf("social: Size %d, InviteFor %v, Invites %d: want at least 0", cfg.Size, cfg.InviteFor, cfg.Invites))
	}
	cfg.Size, cfg.Invites = cmp.Or(cfg.Size, 5), cmp.Or(cfg.Invites, 16)
	cfg.InviteFor = cmp.Or(cfg.InviteFor, time.Minute)
	ps := &Parties{srv: srv, cfg: cfg, byUser: map[string]*party{}, byID: map[uint64]*party{}, invites: map[string]map[*party]bool{}, away: map[*framework.Player]bool{}}
	framework.SendsAs[PartyState](srv, framework.DropOldest, RouteParty)
	framework.SendsAs[Invitation](srv, framework.DropOldest, RouteInvited)
	framework.OnRequest(srv, RouteInvite, ps.invite).Max(300)
	framework.OnRequest(srv, RouteJoin, ps.join).Max(16)
	framework.OnRequest(srv, RouteDecline, ps.decline).Max(16)
	framework.OnRequest(srv, RouteLeave, func(p *framework.Player, _ struct{}) (bool, error) { return true, ps.Leave(p) }).Max(16)
	framework.OnRequest(srv, RouteKick, ps.kick).Max(300)
	framework.OnRequest(srv, RouteLead, ps.lead).Max(300)
	framework.OnRequest(srv, RouteReady, ps.ready).Max(16)
	srv.AddHooks(framework.Hooks{
		OnOpen:     func(p *framework.Player) { ps.update(p, false, func(m *member) { m.p = p }) },
		OnDetach:   func(p *framework.Player) { ps.update(p, true, func(*member) {}) },
		OnResume:   func(p *framework.Player) { ps.update(p, false, func(*member) {}) },
		OnSnapshot: func(p *framework.Player) { s := ps.State(p); _ = p.Push(RouteParty, &s) },
		OnClose:    ps.closed,
	})
	srv.AddStats("parties", ps.stats)
	return ps
}

func refuse(code framework.ErrorCode, format string, v ...any) error {
	return &framework.Error{Code: code, Text: fmt.Sprintf(format, v...)}
}

// mine finds the party of a player and its place in it, nil without one.
func (ps *Parties) mineLocked(p *framework.Player) (*party, *member) {
	if pt := ps.byUser[p.User()]; pt != nil {
		if m := pt.member(p.User()); m.p == p {
			return pt, m
		}
	}
	return nil, nil
}

// tellLocked tells all members how it stands.
func (ps *Parties) tellLocked(pt *party) {
	s := pt.state(ps.cfg.Size)
	for _, p := range pt.players() {
		push(&ps.mu, p, RouteParty, &s)
	}
}

// change lets f change parties, and tells the game of those that it was about.
func (ps *Parties) change(f func() (about []*framework.Player, err error)) error {
	ps.mu.Lock()
	about, err := f()
	if err != nil {
		ps.total.refused++
	}
	ps.mu.Unlock()
	if len(about) > 0 && ps.cfg.OnChange != nil {
		ps.cfg.OnChange(about)
	}
	return err
}

// update notes whether a player is away, and what has become of a member.
func (ps *Parties) update(p *framework.Player, away bool, f func(m *member)) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if away {
		ps.away[p] = true
	} else {
		delete(ps.away, p)
	}
	pt := ps.byUser[p.User()]
	if pt == nil {
		return
	}
	if m := pt.member(p.User()); m.p == nil || m.p == p {
		m.away = away
		f(m)
		ps.tellLocked(pt)
	}
}

// closed keeps the place of a user that has logged in anew here: its next OnOpen takes it.
func (ps *Parties) closed(p *framework.Player, why framework.Reason) {
	if why.Code == framework.CodeTakenOver && len(ps.srv.User(p.User())) > 0 {
		ps.update(p, false, func(m *member) { m.p = nil })
		return
	}
	defer ps.forget(p) // also if OnChange panics
	_ = ps.change(func() ([]*framework.Player, error) {
		about, _ := ps.leaveLocked(p) // one in no party is refused nothing
		return about, nil
	})
}

// forget ends what is known of a player besides its party.
func (ps *Parties) forget(p *framework.Player) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.away, p)
	if len(ps.srv.User(p.User())) == 0 {
		for pt := range maps.Clone(ps.invites[p.User()]) {
			ps.uninviteLocked(pt, p.User())
		}
	}
}

func (ps *Parties) invite(p *framework.Player, user string) (s PartyState, err error) {
	if user == p.User() || len(ps.srv.User(user)) == 0 {
		return s, refuse(framework.ErrorRefused, "%.64s is not online at this server", user)
	}
	if p.User() == "" {
		return s, refuse(framework.ErrorRefused, "a party needs a user")
	}
	if f := ps.cfg.MayInvite; f != nil && !f(p, user) {
		return s, refuse(framework.ErrorRefused, "%.64s takes no invitation", user)
	}
	err = ps.change(func() (about []*framework.Player, err error) {
		now := clock()
		pt, _ := ps.mineLocked(p)
		switch {
		case pt == nil && ps.byUser[p.User()] != nil:
			return nil, refuse(framework.ErrorRefused, "another session of the user is in a party")
		case pt == nil:
			pt = ps.makeLocked(p)
		case !pt.leads(p.User()):
			return nil, refuse(framework.ErrorRefused, "only the leader invites")
		case pt.member(user) != nil:
			return nil, refuse(framework.ErrorRefused, "%.64s is in the party", user)
		}
		s = pt.state(ps.cfg.Size)
		ps.expireLocked(pt, now)
		ps.uninviteLocked(pt, user) // again: it stands longer
		open := ps.openLocked(user, now)
		if len(pt.members) >= ps.cfg.Size {
			return nil, refuse(framework.ErrorFull, "the party has %d members, as many as it may", ps.cfg.Size)
		}
		if len(pt.invites) >= ps.cfg.Invites || open >= ps.cfg.Invites {
			return nil, refuse(framework.ErrorBusy, "%d invitations are open, as many as may be", ps.cfg.Invites)
		}
		pt.invites = append(pt.invites, invite{user, now.Add(ps.cfg.InviteFor)})
		if ps.invites[user] == nil {
			ps.invites[user] = map[*party]bool{}
		}
		ps.invites[user][pt] = true
		ps.total.invited++
		for _, other := range ps.srv.User(user) {
			push(&ps.mu, other, RouteInvited, &Invitation{pt.id, p.User(), uint32(ps.cfg.InviteFor.Milliseconds())})
		}
		return nil, nil
	})
	return s, err
}

// openLocked counts the invitations of a user that stand, and forgets the others.
func (ps *Parties) openLocked(user string, now time.Time) int {
	for pt := range maps.Clone(ps.invites[user]) {
		ps.expireLocked(pt, now)
	}
	return len(ps.invites[user])
}

// expireLocked forgets the invitations of a party that stand no more.
func (ps *Parties) expireLocked(pt *party, now time.Time) {
	for _, i := range slices.Clone(pt.invites) {
		if !i.until.After(now) {
			ps.uninviteLocked(pt, i.user)
		}
	}
}

// uninviteLocked forgets the invitation of a user into a party.
func (ps *Parties) uninviteLocked(pt *party, user string) {
	pt.invited(user)
	if delete(ps.invites[user], pt); len(ps.invites[user]) == 0 {
		delete(ps.invites, user)
	}
}

// makeLocked makes a party of one.
func (ps *Parties) makeLocked(p *framework.Player) *party {
	ps.last++
	pt := &party{id: ps.last, members: []*member{{user: p.User(), p: p, away: ps.away[p]}}}
	ps.byID[pt.id], ps.byUser[p.User()] = pt, pt
	ps.total.made++
	ps.tellLocked(pt)
	return pt
}

func (ps *Parties) join(p *framework.Player, id uint64) (s PartyState, err error) {
	err = ps.change(func() ([]*framework.Player, error) {
		pt := ps.byID[id]
		switch {
		case ps.byUser[p.User()] != nil:
			return nil, refuse(framework.ErrorInRoom, "in a party, which must be left first")
		case pt == nil || !pt.stands(p.User(), clock()):
			return nil, refuse(framework.ErrorRefused, "the invitation does not stand")
		case len(pt.members) >= ps.cfg.Size:
			return nil, refuse(framework.ErrorFull, "the party is full")
		}
		ps.uninviteLocked(pt, p.User())
		pt.members = append(pt.members, &member{user: p.User(), p: p, away: ps.away[p]})
		pt.changed()
		ps.byUser[p.User()] = pt
		ps.total.joined++
		ps.tellLocked(pt)
		s = pt.state(ps.cfg.Size)
		return pt.players(), nil
	})
	return s, err
}

func (ps *Parties) decline(p *framework.Player, id uint64) (bool, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if pt := ps.byID[id]; pt != nil {
		ps.uninviteLocked(pt, p.User())
	}
	return true, nil
}

// Leave takes a player out of its party. The lead passes to the member that has been in it
// for longest. The error is a *framework.Error with ErrorRefused if it is in none.
func (ps *Parties) Leave(p *framework.Player) error {
	return ps.change(func() ([]*framework.Player, error) { return ps.leaveLocked(p) })
}

func (ps *Parties) leaveLocked(p *framework.Player) ([]*framework.Player, error) {
	pt, m := ps.mineLocked(p)
	if pt == nil {
		return nil, refuse(framework.ErrorRefused, "in no party")
	}
	ps.total.left++
	return ps.removeLocked(pt, m, "left"), nil
}

// removeLocked takes a member out, and returns all who were in.
func (ps *Parties) removeLocked(pt *party, m *member, why string) []*framework.Player {
	about := pt.players()
	pt.remove(m.user)
	delete(ps.byUser, m.user)
	if m.p != nil {
		push(&ps.mu, m.p, RouteParty, &PartyState{Members: []PartyMember{}, Why: why})
	}
	if len(pt.members) > 0 {
		ps.tellLocked(pt)
		return about
	}
	delete(ps.byID, pt.id)
	for _, i := range slices.Clone(pt.invites) {
		ps.uninviteLocked(pt, i.user)
	}
	return about
}

// ledLocked finds the party that a player leads, and another member of it.
func (ps *Parties) ledLocked(p *framework.Player, user string) (*party, *member, error) {
	pt, _ := ps.mineLocked(p)
	if pt == nil || !pt.leads(p.User()) {
		return nil, nil, refuse(framework.ErrorRefused, "you lead no party")
	}
	m := pt.member(user)
	if m == nil || user == p.User() {
		return nil, nil, refuse(framework.ErrorRefused, "%.64s is no other member", user)
	}
	return pt, m, nil
}

func (ps *Parties) kick(p *framework.Player, user string) (bool, error) {
	return true, ps.change(func() ([]*framework.Player, error) {
		pt, m, err := ps.ledLocked(p, user)
		if err != nil {
			return nil, err
		}
		ps.total.kicked++
		return ps.removeLocked(pt, m, "kicked"), nil
	})
}

func (ps *Parties) lead(p *framework.Player, user string) (bool, error) {
	return true, ps.change(func() ([]*framework.Player, error) {
		pt, m, err := ps.ledLocked(p, user)
		if err == nil {
			pt.lead(m)
			ps.tellLocked(pt)
		}
		return nil, err
	})
}

func (ps *Parties) ready(p *framework.Player, ready bool) (bool, error) {
	return true, ps.change(func() ([]*framework.Player, error) {
		pt, m := ps.mineLocked(p)
		if pt == nil {
			return nil, refuse(framework.ErrorRefused, "in no party")
		}
		if m.ready != ready {
			m.ready = ready
			ps.tellLocked(pt)
		}
		return nil, nil
	})
}

// State returns what a player is told of its party. Party is 0 if it is in none.
func (ps *Parties) State(p *framework.Player) PartyState {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if pt, _ := ps.mineLocked(p); pt != nil {
		return pt.state(ps.cfg.Size)
	}
	return PartyState{Members: []PartyMember{}}
}

// Members returns the players of a player's party that have a session, the leader first:
// itself alone if it is in none.
func (ps *Parties) Members(p *framework.Player) []*framework.Player {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if pt, _ := ps.mineLocked(p); pt != nil {
		return pt.players()
	}
	return []*framework.Player{p}
}

// Together returns the members of a party for what they do together, as match.Options.Party
// wants: its leader asks. The error is a *framework.Error with ErrorRefused if another
// member asks, if one is away, or if not all are ready and have to be: PartyConfig.AllReady.
func (ps *Parties) Together(p *framework.Player) ([]*framework.Player, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	pt, _ := ps.mineLocked(p)
	if pt == nil {
		return []*framework.Player{p}, nil
	}
	if !pt.leads(p.User()) {
		return nil, refuse(framework.ErrorRefused, "only the leader, %.64s, can do that", pt.members[0].user)
	}
	for _, m := range pt.members {
		switch {
		case m.p == nil || m.away:
			return nil, refuse(framework.ErrorRefused, "%.64s is away", m.user)
		case ps.cfg.AllReady && !m.ready && m.p != p:
			return nil, refuse(framework.ErrorRefused, "%.64s is not ready", m.user)
		}
	}
	return pt.players(), nil
}

func (ps *Parties) stats() framework.PartStats {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	t := &ps.total
	return framework.PartStats{
		Now:   map[string]int64{"parties": int64(len(ps.byID)), "members": int64(len(ps.byUser)), "invited": int64(len(ps.invites))},
		Total: map[string]uint64{"made": t.made, "invited": t.invited, "joined": t.joined, "left": t.left, "kicked": t.kicked, "refused": t.refused},
	}
}
