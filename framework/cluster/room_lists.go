// SPDX-License-Identifier: MIT

package cluster

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// Lists of the rooms of all servers.

// routeLists is the call that Lists makes.
const routeLists = "\x00lists"

// listTime bounds how long a list of rooms waits for the other servers.
const listTime = 500 * time.Millisecond

// listsBody asks for a list, and listBody is it. Fields are only ever appended.
type listsBody struct {
	Type  string
	Known uint64
}

type listBody struct {
	Version uint64
	Body    []byte
}

// listCounters count what other servers were asked for.
type listCounters [len(listNames)]atomic.Uint64

var listNames = [...]string{"silent", "told"}

const (
	listSilent = 0
	listTold   = 1
)

// fill adds what was counted.
func (n *listCounters) fill(st *framework.ClusterStats) { st.RoomLists = named(n[:], listNames[:]) }

func (c *Cluster) answerList(_ context.Context, _ Member, q listsBody) (listBody, error) {
	l, err := c.host.RoomList(q.Type, q.Known)
	return listBody{l.Version, l.Body}, err
}

// Lists implements framework.ClusterRooms.
func (c *Cluster) Lists(kind string, known map[string]uint64, done func([]framework.RoomList)) {
	go func() { // ends after listTime
		ctx, cancel := context.WithTimeout(c.ctx, listTime)
		defer cancel()
		var list []framework.RoomList
		var mu sync.Mutex // guards list
		var asked sync.WaitGroup
		for _, m := range c.Members() {
			if m.incarnation == c.me || m.Address == "" {
				continue
			}
			asked.Go(func() { // ends with ctx
				l := c.askForList(ctx, m, kind, known[m.incarnation.String()])
				mu.Lock()
				list = append(list, l)
				mu.Unlock()
			})
		}
		asked.Wait()
		done(list)
	}()
}

// sameRoutes reports whether sessions can go to a server.
func (c *Cluster) sameRoutes(i core.Incarnation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.members.Member(i)
	return ok && bytes.Equal(m.Routes, c.host.Routes())
}

// askForList asks one server. If it does not answer there is no version.
func (c *Cluster) askForList(ctx context.Context, m Member, kind string, known uint64) framework.RoomList {
	l := framework.RoomList{Server: m.incarnation.String(), Away: m.Draining || !c.sameRoutes(m.incarnation)}
	call := callBody{Node: c.me.Node, Boot: c.me.Boot, Route: routeLists, Body: encode(&listsBody{kind, known})}
	r, err := c.services.ask(ctx, m.incarnation, &call)
	var body listBody
	if err != nil || r.Result != callDone || decode(r.Body, &body) != nil {
		c.lists[listSilent].Add(1)
		return l
	}
	c.lists[listTold].Add(1)
	l.Version, l.Body = body.Version, body.Body
	return l
}
