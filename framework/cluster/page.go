// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/place"
	"github.com/lifeline-go/lifeline/framework/internal/admin"
)

// pageBody is what /debug/cluster answers.
type pageBody struct {
	Incarnation string                 `json:"incarnation"` // of this server
	State       string                 `json:"state"`       // joining, up, draining, paused, isolated, declared dead, left
	Stats       framework.ClusterStats `json:"stats"`
	Servers     []serverBody           `json:"servers"`            // that live, as far as is known here
	User        string                 `json:"user,omitempty"`     // that was asked for
	Sessions    []sessionBody          `json:"sessions,omitempty"` // of that user, in the directory
	Room        *roomBody              `json:"room,omitempty"`     // that was asked for, as ?room=type/key
	Rooms       []placedBody           `json:"rooms,omitempty"`    // of all servers, as ?rooms= or ?rooms=type/first letters
	MoreRooms   bool                   `json:"more_rooms,omitempty"`
}

// roomBody is where a room is.
type roomBody struct {
	Type    string `json:"type"`
	Key     string `json:"key"`
	State   string `json:"state"` // of its server: up, draining, dead, unknown; or moving, none
	Node    uint16 `json:"node"`  // of its server, 0 without one
	Owner   string `json:"owner"` // the incarnation
	Address string `json:"address"`
	Gen     uint64 `json:"gen"` // 0: its key was made by its server, and has no entry
}

// serverBody is a server as this one sees it, and as it says itself.
type serverBody struct {
	Node        uint16                  `json:"node"`
	Incarnation string                  `json:"incarnation"`
	Address     string                  `json:"address"`
	State       string                  `json:"state"`                 // up, draining
	RenewedMs   int64                   `json:"renewed_ms"`            // since its last renewal was seen here
	Players     int                     `json:"players"`               // as it says itself
	Rooms       int                     `json:"rooms"`                 // that are open there
	Stats       *framework.ClusterStats `json:"stats,omitempty"`       // nil if it does not answer
	Unreachable string                  `json:"unreachable,omitempty"` // why not
}

// sessionBody is an entry of the directory.
type sessionBody struct {
	Session string `json:"session"`
	State   string `json:"state"` // of its server: up, draining, dead, unknown; or parked
	Node    uint16 `json:"node"`  // of its server, 0 if it is parked
	Owner   string `json:"owner"` // the incarnation
	Address string `json:"address"`
	Gen     uint64 `json:"gen"`    // how many owners it has had
	Record  int    `json:"record"` // bytes that the next owner carries on

	Rooms []string `json:"rooms,omitempty"` // that it is in, as its server says: type/key
}

// pageTime bounds what a page waits for: the directory, and the other servers.
const pageTime = 2 * time.Second

// Page implements framework.Cluster.
func (c *Cluster) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.joined.Load() {
			http.Error(w, "the server has not joined its cluster yet", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		body := pageBody{Incarnation: c.me.String(), State: c.state(), Stats: c.Stats(), User: r.URL.Query().Get("user")}
		told := c.askServers(ctx, pageQuestion(r.URL.Query()))
		body.Servers = told.servers
		body.Rooms, body.MoreRooms = told.rooms()
		if body.User != "" {
			var err error
			if body.Sessions, err = c.sessionsOf(ctx, body.User, told.seats); err != nil {
				http.Error(w, fmt.Sprintf("the directory does not answer: %v", err), http.StatusServiceUnavailable)
				return
			}
		}
		if kind, key, ok := strings.Cut(r.URL.Query().Get("room"), "/"); ok {
			var err error
			if body.Room, err = c.roomOf(ctx, kind, key); err != nil {
				http.Error(w, fmt.Sprintf("the directory does not answer: %v", err), http.StatusServiceUnavailable)
				return
			}
		}
		admin.WriteJSON(w, body)
	})
}

// state tells in a word how the server stands.
func (c *Cluster) state() string {
	valid, acts := c.HasLease(), c.Valid()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.lease.Over():
		return "declared dead"
	case c.lease.Left():
		return "left"
	case !valid && c.until.Load() == 0:
		return "joining"
	case !valid && acts:
		return "isolated"
	case !valid:
		return "paused"
	}
	return stateName(c.draining)
}

// statusNames are those of a session's owner.
var statusNames = [...]string{core.Unknown: "unknown", core.Up: "up", core.Draining: "draining", core.Dead: "dead"}

// roomOf returns where a room is.
func (c *Cluster) roomOf(ctx context.Context, kind, key string) (*roomBody, error) {
	at := &roomBody{Type: kind, Key: key, State: "none"}
	owner, made := maker(key)
	b, _, err := c.bus.Get(ctx, roomsKey(place.Name(kind, key)))
	if err != nil {
		return nil, err
	}
	e, err := place.ParseEntry(b)
	switch {
	case err != nil:
		return at, err
	case e != nil:
		owner, at.Gen, at.State = e.Owner, e.Gen, "moving"
	case !made:
		return at, nil
	}
	if owner != (core.Incarnation{}) {
		c.mu.Lock()
		defer c.mu.Unlock()
		m, _ := c.members.Member(owner)
		at.State, at.Node, at.Owner, at.Address = statusNames[c.members.Status(owner)], owner.Node, owner.String(), m.Address
	}
	return at, nil
}

// sessionsOf returns what the directory says of a user.
func (c *Cluster) sessionsOf(ctx context.Context, user string, seats map[string][]string) ([]sessionBody, error) {
	entries, _, err := c.entries(ctx, c.userKey(user))
	if err != nil {
		return nil, err
	}
	list := []sessionBody{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		if e.User != user {
			continue // two users may have one key
		}
		at := sessionBody{Session: e.Session.String(), State: "parked", Gen: e.Gen, Record: len(e.Record), Rooms: seats[e.Session.String()]}
		if e.Owner != (core.Incarnation{}) {
			m, _ := c.members.Member(e.Owner)
			at.State, at.Node, at.Owner, at.Address = statusNames[c.members.Status(e.Owner)], e.Owner.Node, e.Owner.String(), m.Address
		}
		list = append(list, at)
	}
	return list, nil
}
