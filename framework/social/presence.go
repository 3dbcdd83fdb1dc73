// SPDX-License-Identifier: MIT

package social

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/putoff"
)

// The routes of presence: framework/client/CLIENT.md 9.
const (
	RouteWatch    = "presence.watch"   // request: users, answered by []UserState
	RouteUnwatch  = "presence.unwatch" // request: users, all if empty, answered by true
	RoutePresence = "presence.changed" // push: UserState
	RouteAll      = "presence.all"     // push: []UserState, of all that the player watches
)

// Presence says where a user is.
type Presence uint8

// The presences of a UserState.
const (
	Offline Presence = iota // has no session
	Away                    // has a session without a link: it may come back any moment
	Online                  // is there
	Playing                 // is there, and in a match: see Status
)

// UserState is what watchers are told of a user.
type UserState struct {
	User     string
	Presence Presence
	Text     string // Status.Text
}

// Status is what the game says of a user. It ends when the user goes offline.
type Status struct {
	Playing bool
	// Text is for friends to read, as "ranked, 2:1", of at most 128 bytes.
	Text string
}

// PresenceConfig says who may watch whom.
type PresenceConfig struct {
	// MayWatch reports whether a player may watch a user, as a friend may. It is asked when
	// the player asks, and may block. It must be there.
	MayWatch func(p *framework.Player, user string) bool
	// Watches bounds the users that one player watches. If zero, 200.
	Watches int
	// Watchers bounds the players that watch one user: each is told of each change. If
	// zero, 1,000.
	Watchers int
	// Others are the other servers, if there is a cluster: Cluster.Presence of package
	// framework/cluster. If nil, presence is that of this server's users.
	Others Others
}

// Others are the other servers of a cluster, as presence needs them. Its methods are safe to
// call from any goroutine, and do not block but where that is said.
type Others interface {
	// Begin is called once, before the server starts. here tells of some users where those
	// are that are not offline here; changed is called when Of may say something else.
	Begin(here func(users []string) []UserState, changed func(user string))
	// Tell tells the others what has become of a user here. moved says that its session has
	// left for another server.
	Tell(s UserState, moved bool)
	// Watch makes Of know users, until Unwatch. It waits a second at most for the others.
	Watch(users []string)
	Unwatch(user string)
	// Of returns what the others say of a user that is watched.
	Of(user string) UserState
}

// PresenceOf is the presence of a server's users. Its methods are safe to call from any
// goroutine.
type PresenceOf struct {
	srv *framework.Server
	cfg PresenceConfig

	mu putoff.Mutex
	// Guarded by mu.
	users   map[string]*watched                   // those that are watched or have a Status
	watches map[*framework.Player]map[string]bool // by who watches
	total   struct{ changes, told, refused uint64 }
}

// watched is a user that somebody watches, or that has a Status. Owned by PresenceOf.
type watched struct {
	told     UserState // the last
	status   Status
	watchers map[*framework.Player]bool
}

// NewPresence makes the presence of a server, before its Start, and registers its routes.
// What can't be meant panics.
func NewPresence(srv *framework.Server, cfg PresenceConfig) *PresenceOf {
	if cfg.MayWatch == nil || cfg.Watches < 0 || cfg.Watchers < 0 {
		panic(fmt.Sprintf("social: MayWatch must be there, Watches %d and Watchers %d at least 0", cfg.Watches, cfg.Watchers))
	}
	cfg.Watches, cfg.Watchers = cmp.Or(cfg.Watches, 200), cmp.Or(cfg.Watchers, 1000)
	ps := &PresenceOf{srv: srv, cfg: cfg, users: map[string]*watched{}, watches: map[*framework.Player]map[string]bool{}}
	framework.SendsAs[UserState](srv, framework.DeliverAll, RoutePresence)
	framework.SendsAs[[]UserState](srv, framework.DropOldest, RouteAll)
	framework.OnRequest(srv, RouteWatch, ps.watch).Max(32 << 10)
	framework.OnRequest(srv, RouteUnwatch, ps.unwatch).Max(32 << 10)
	look := func(p *framework.Player) { ps.look(p.User(), nil, false) }
	srv.AddHooks(framework.Hooks{
		OnOpen: look, OnDetach: look, OnResume: look, OnSnapshot: ps.tellAll,
		OnClose: func(p *framework.Player, why framework.Reason) {
			ps.forget(p)
			ps.look(p.User(), p, why.Code == framework.CodeMoved)
		},
		Part: "presence", Pack: ps.pack, Unpack: ps.unpack,
	})
	if cfg.Others != nil {
		cfg.Others.Begin(ps.here, ps.again)
	}
	srv.AddStats("presence", ps.stats)
	return ps
}

// presence looks where a user is, but for a session that has ended.
func (ps *PresenceOf) presence(user string, but *framework.Player) Presence {
	where := Offline
	for _, p := range ps.srv.User(user) {
		switch {
		case p == but:
		case p.Attached():
			return Online
		default:
			where = Away
		}
	}
	return where
}

// look looks again where a user is, and tells its watchers if that is news. moved says that
// a session of it has left for another server.
func (ps *PresenceOf) look(user string, but *framework.Player, moved bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	w := ps.users[user]
	if ps.cfg.Others != nil && user != "" {
		s := ps.hereLocked(user, w, but)
		if moved = moved && s.Presence == Offline; moved {
			s.Presence = Away
		}
		ps.cfg.Others.Tell(s, moved)
	}
	if w != nil {
		ps.lookLocked(user, w, but)
	}
}

// again is look for what other servers have said.
func (ps *PresenceOf) again(user string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if w := ps.users[user]; w != nil {
		ps.lookLocked(user, w, nil)
	}
}

// here returns where users are that are not offline here.
func (ps *PresenceOf) here(users []string) (states []UserState) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, user := range users {
		if s := ps.hereLocked(user, ps.users[user], nil); s.Presence != Offline {
			states = append(states, s)
		}
	}
	return states
}

// hereLocked is what is told of a user, as far as this server knows.
func (ps *PresenceOf) hereLocked(user string, w *watched, but *framework.Player) UserState {
	s := UserState{user, ps.presence(user, but), ""}
	if w == nil || s.Presence == Offline {
		return s
	}
	if s.Text = w.status.Text; w.status.Playing && s.Presence == Online {
		s.Presence = Playing
	}
	return s
}

// stateLocked is what is told of a user, wherever it is.
func (ps *PresenceOf) stateLocked(user string, w *watched, but *framework.Player) UserState {
	s := ps.hereLocked(user, w, but)
	if s.Presence == Offline && ps.cfg.Others != nil {
		s = ps.cfg.Others.Of(user)
	}
	return s
}

func (ps *PresenceOf) lookLocked(user string, w *watched, but *framework.Player) {
	if ps.presence(user, but) == Offline {
		w.status = Status{}
	}
	if now := ps.stateLocked(user, w, but); now != w.told {
		w.told = now
		ps.total.changes++
		for p := range w.watchers {
			push(&ps.mu, p, RoutePresence, &now)
			ps.total.told++
		}
	}
	ps.dropLocked(user, w)
}

// dropLocked forgets a user that there is nothing to know of.
func (ps *PresenceOf) dropLocked(user string, w *watched) {
	if len(w.watchers) == 0 && w.status == (Status{}) {
		delete(ps.users, user)
	}
}

func (ps *PresenceOf) userLocked(user string) *watched {
	w := ps.users[user]
	if w == nil {
		w = &watched{told: ps.stateLocked(user, nil, nil), watchers: map[*framework.Player]bool{}}
		ps.users[user] = w
	}
	return w
}

// recheck is when a user that was found without a link is looked at again: a link that is
// back at once is told of by no hook.
const recheck = 5 * time.Second

func (ps *PresenceOf) watch(p *framework.Player, users []string) ([]UserState, error) {
	if len(users) > ps.cfg.Watches {
		return nil, refuse(framework.ErrorBadRequest, "%d users, want at most %d", len(users), ps.cfg.Watches)
	}
	var may []string
	for _, user := range users {
		if user != "" && len(user) <= 256 && ps.cfg.MayWatch(p, user) && !slices.Contains(may, user) {
			may = append(may, user)
		}
	}
	may, err := ps.add(p, may)
	if err != nil {
		return nil, err
	}
	return ps.found(p, may), nil
}

// found returns where users are that a player watches. It waits for the other servers.
func (ps *PresenceOf) found(p *framework.Player, users []string) []UserState {
	if ps.cfg.Others != nil {
		ps.cfg.Others.Watch(users)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	states := []UserState{}
	for _, user := range users {
		w := ps.users[user]
		if w == nil || !w.watchers[p] { // meanwhile it has ended, or watches no more
			if ps.cfg.Others != nil && (w == nil || len(w.watchers) == 0) {
				ps.cfg.Others.Unwatch(user)
			}
			continue
		}
		ps.lookLocked(user, w, nil)
		if w.told.Presence == Away {
			time.AfterFunc(recheck, func() { ps.again(user) })
		}
		states = append(states, w.told)
	}
	return states
}

// add makes a player watch users, and returns those that it watches now.
func (ps *PresenceOf) add(p *framework.Player, may []string) (added []string, err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	mine := ps.watches[p]
	if mine == nil {
		mine = map[string]bool{}
	}
	n := len(mine)
	for _, user := range may {
		if !mine[user] {
			n++
		}
	}
	if n > ps.cfg.Watches {
		ps.total.refused++
		return nil, refuse(framework.ErrorFull, "watches of %d users, want at most %d", n, ps.cfg.Watches)
	}
	for _, user := range may {
		w := ps.userLocked(user)
		if !w.watchers[p] && len(w.watchers) >= ps.cfg.Watchers {
			ps.total.refused++
			continue
		}
		w.watchers[p], mine[user] = true, true
		added = append(added, user)
	}
	if len(mine) > 0 {
		ps.watches[p] = mine
	}
	if p.Context().Err() != nil { // its OnClose may have been before
		ps.forgetLocked(p)
	}
	return added, nil
}

// pack returns the users watched by a player that goes to another server.
func (ps *PresenceOf) pack(p *framework.Player) []byte {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(ps.watches[p]) == 0 {
		return nil
	}
	var going watchesState
	for _, user := range slices.Sorted(maps.Keys(ps.watches[p])) {
		going.Users = append(going.Users, []byte(user))
	}
	b, _ := json.Marshal(&going) // can't fail
	return b
}

// watchesState is what a player watches, for another server. JSON would change a name that
// is no text.
type watchesState struct{ Users [][]byte }

// unpack makes a player that has come watch the same users, and tells it of them. It does not
// wait for the other servers.
func (ps *PresenceOf) unpack(p *framework.Player, state []byte) {
	var came watchesState
	if err := json.Unmarshal(state, &came); err != nil {
		ps.srv.Logger().Error("what a player watches has not come", "session", p.ID(), "error", err)
		return
	}
	var users []string
	for _, name := range came.Users {
		users = append(users, string(name))
	}
	added, err := ps.add(p, users)
	if err != nil || len(added) == 0 {
		return
	}
	go func() { // ends when the others have answered
		ps.found(p, added)
		ps.tellAll(p)
	}()
}

func (ps *PresenceOf) unwatch(p *framework.Player, users []string) (bool, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(users) == 0 {
		ps.forgetLocked(p)
		return true, nil
	}
	for _, user := range users {
		ps.unwatchLocked(p, user)
	}
	return true, nil
}

func (ps *PresenceOf) unwatchLocked(p *framework.Player, user string) {
	mine := ps.watches[p]
	if !mine[user] {
		return
	}
	delete(mine, user)
	if len(mine) == 0 {
		delete(ps.watches, p)
	}
	w := ps.users[user]
	delete(w.watchers, p)
	if len(w.watchers) == 0 && ps.cfg.Others != nil {
		ps.cfg.Others.Unwatch(user)
	}
	ps.dropLocked(user, w)
}

// forget ends the watches of a player.
func (ps *PresenceOf) forget(p *framework.Player) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.forgetLocked(p)
}

func (ps *PresenceOf) forgetLocked(p *framework.Player) {
	for user := range maps.Clone(ps.watches[p]) {
		ps.unwatchLocked(p, user)
	}
}

// Unwatch ends what a player watches of a user: they are friends no more.
func (ps *PresenceOf) Unwatch(p *framework.Player, user string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.unwatchLocked(p, user)
}

// Set says what a user is doing, as in OnJoin and OnLeave of a match. It does nothing for
// one that is not at this server.
func (ps *PresenceOf) Set(user string, s Status) {
	if len(s.Text) > maxText {
		s.Text = strings.ToValidUTF8(s.Text[:maxText], "")
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.presence(user, nil) == Offline {
		return
	}
	w := ps.userLocked(user)
	w.status = s
	if ps.cfg.Others != nil {
		ps.cfg.Others.Tell(ps.hereLocked(user, w, nil), false)
	}
	ps.lookLocked(user, w, nil)
}

const maxText = 128 // bytes of a Status

// Of returns where a user is. One that is at another server it knows only while a player
// here watches it.
func (ps *PresenceOf) Of(user string) UserState {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if w := ps.users[user]; w != nil {
		return w.told
	}
	return ps.stateLocked(user, nil, nil)
}

// tellAll tells a client again what it may have lost.
func (ps *PresenceOf) tellAll(p *framework.Player) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(ps.watches[p]) == 0 {
		return
	}
	states := []UserState{}
	for _, user := range slices.Sorted(maps.Keys(ps.watches[p])) {
		states = append(states, ps.users[user].told)
	}
	push(&ps.mu, p, RouteAll, states)
}

func (ps *PresenceOf) stats() framework.PartStats {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	n := 0
	for _, mine := range ps.watches {
		n += len(mine)
	}
	return framework.PartStats{
		Now:   map[string]int64{"watchers": int64(len(ps.watches)), "watches": int64(n), "users": int64(len(ps.users))},
		Total: map[string]uint64{"changes": ps.total.changes, "told": ps.total.told, "refused": ps.total.refused},
	}
}
