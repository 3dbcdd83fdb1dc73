// SPDX-License-Identifier: MIT

package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// What the servers tell each other's pages.

// mostRooms bounds the rooms that a server tells, and that a page has.
const mostRooms = 1000

// pageAsk is what a page asks a server, in JSON.
type pageAsk struct {
	User  string `json:"user"`  // whose rooms are asked for, empty: of no user
	Rooms string `json:"rooms"` // how their type/key begins
	Limit int    `json:"limit"` // of rooms; 0: none are asked for
}

// pageAnswer is what a server tells a page. One of an older release tells its Stats alone.
type pageAnswer struct {
	framework.ClusterStats
	Players  int                 `json:"players"`
	Open     int                 `json:"open"`                // rooms
	List     []placedBody        `json:"list,omitempty"`      // of them
	RoomsOf  map[string][]string `json:"rooms_of,omitempty"`  // by session of the user
	MoreList bool                `json:"more_list,omitempty"` // than the limit
}

// placedBody is a room and the server that has it.
type placedBody struct {
	Type    string `json:"type"`
	Key     string `json:"key"`
	Node    uint16 `json:"node"`
	Owner   string `json:"owner"` // the incarnation
	Gen     uint64 `json:"gen"`   // 0: it is its server's own, and has no entry
	Players int    `json:"players"`
	Watched int    `json:"watched"`
	Seats   int    `json:"seats"` // 0: no limit
	Locked  bool   `json:"locked"`
}

// pageQuestion is what the servers are asked for a page.
func pageQuestion(q url.Values) pageAsk {
	ask := pageAsk{User: q.Get("user"), Rooms: q.Get("rooms")}
	if q.Has("rooms") {
		ask.Limit = mostRooms
		if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
			ask.Limit = min(n, mostRooms)
		}
	}
	return ask
}

// statsName is the name under which a server tells the others' pages of itself.
func statsName(i core.Incarnation) string { return i.String() + ".stats" }

// answerStats answers the others' pages, with a lease or without.
func (c *Cluster) answerStats(question []byte) []byte {
	var ask pageAsk
	_ = json.Unmarshal(question, &ask) // one of an older release is empty
	b, err := json.Marshal(c.tell(ask))
	if err != nil {
		c.log.Error("the stats can't be told", "error", err)
	}
	return b
}

// tell is what this server tells a page.
func (c *Cluster) tell(ask pageAsk) pageAnswer {
	a := pageAnswer{ClusterStats: c.Stats()}
	a.Players, _ = c.host.Load()
	limit, found := min(max(ask.Limit, 0), mostRooms), 0
	list := c.host.InspectRooms(limit, func(in *framework.RoomInfo) bool {
		a.Open++
		keep := limit > 0 && strings.HasPrefix(in.Type+"/"+in.Key, ask.Rooms)
		if keep {
			found++
		}
		return keep
	})
	a.MoreList = found > limit
	for _, in := range list {
		a.List = append(a.List, placedBody{in.Type, in.Key, c.me.Node, c.me.String(), in.Generation, in.Players, in.Watched, in.Seats, in.Locked})
	}
	if ask.User == "" {
		return a
	}
	a.RoomsOf = map[string][]string{}
	for _, p := range c.host.User(ask.User) {
		a.RoomsOf[p.ID().String()] = c.host.RoomsOf(p)
	}
	return a
}

// told is what the servers have told a page.
type told struct {
	limit   int
	servers []serverBody
	list    []placedBody
	more    bool
	seats   map[string][]string // rooms by session
}

// rooms returns the rooms by type, key and server, and whether there are more.
func (t *told) rooms() ([]placedBody, bool) {
	slices.SortFunc(t.list, func(a, b placedBody) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Node, b.Node))
	})
	return t.list[:min(len(t.list), t.limit)], t.more || len(t.list) > t.limit
}

// askServers returns all servers, and what each says of itself.
func (c *Cluster) askServers(ctx context.Context, ask pageAsk) *told {
	now := c.now()
	c.mu.Lock()
	members := c.members.Living()
	list := make([]serverBody, len(members))
	for i, m := range members {
		list[i] = serverBody{Node: m.Incarnation.Node, Incarnation: m.Incarnation.String(), Address: m.Address, State: stateName(m.Draining)}
		if m.Incarnation != c.me {
			list[i].RenewedMs = c.watch.Silence(m.Incarnation.Node, now).Milliseconds()
		}
	}
	c.mu.Unlock()
	answers := make([]*pageAnswer, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		if m.Incarnation == c.me {
			a := c.tell(ask)
			answers[i] = &a
			continue
		}
		asked.Go(func() { // ends with ctx
			var err error
			if answers[i], err = c.askServer(ctx, m.Incarnation, ask); err != nil {
				list[i].Unreachable = err.Error()
			}
		})
	}
	asked.Wait()
	t := &told{limit: ask.Limit, servers: list, seats: map[string][]string{}}
	for i, a := range answers {
		if a == nil {
			continue
		}
		list[i].Stats, list[i].Players, list[i].Rooms = &a.ClusterStats, a.Players, a.Open
		t.list, t.more = append(t.list, a.List...), t.more || a.MoreList
		maps.Copy(t.seats, a.RoomsOf)
	}
	return t
}

func (c *Cluster) askServer(ctx context.Context, at core.Incarnation, ask pageAsk) (*pageAnswer, error) {
	question, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	b, err := c.bus.Ask(ctx, statsName(at), question)
	if err != nil {
		return nil, err
	}
	a := new(pageAnswer)
	return a, json.Unmarshal(b, a)
}
