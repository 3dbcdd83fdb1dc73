// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/pipe"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
)

// User is a user, at whichever server its session is. It is a name: to make one costs
// nothing, and nothing is looked up before it is used. Its methods are safe to call from
// any goroutine, after Start.
//
// What one server sends to a user is handed over in order, also while the session moves.
// For a user that is here it is what the methods of framework.Player do. If a user has
// several sessions (framework.DuplicateAllow), those at one server get it: at this one, if
// any is here.
type User struct {
	c    *Cluster
	name string
}

// User returns the user that framework.Config.Authenticate has named so.
func (c *Cluster) User(user string) User { return User{c, user} }

// Push sends a one-way message to the user's session, and from there to its client: see
// framework.Player.Push. It never blocks.
//
// If the user is here, the error is that of Player.Push. Else nil says that the message is
// on its way. It is handed over at most once. If it is not, or if that can't be known,
// Config.OnUndelivered is told. The error is ErrBackpressure if too much waits already,
// ErrUnreachable if this server is not in the cluster, or why v can't be sent.
func (u User) Push(route string, v any) error {
	m := u.c.messages
	if players := m.here(u.name); len(players) > 0 {
		if err := pushAll(players, route, v); !errors.Is(err, framework.ErrClosed) {
			return err
		}
	}
	body, err := codec.AppendBody(nil, v)
	if err != nil {
		return err
	}
	return u.put(messageBody{Kind: kindPush, Route: route, Body: body})
}

// Kick ends the user's session: see framework.Player.Kick. What was sent to the user before
// goes out first. It never blocks. Its errors are those of Push, and what comes later is
// told to Config.OnUndelivered, with an empty route. A session that no server has for the
// moment is waited for, for 30 s; then it goes on if its client comes: Cluster.Ban keeps it
// out.
func (u User) Kick(code framework.Code, text string) error {
	if code == 0 {
		code = session.Kicked
	}
	if !code.Ends() {
		panic(fmt.Sprintf("cluster: Kick with code %d, which ends no session: a game's codes start at %d", code, session.Game))
	}
	if players := u.c.messages.here(u.name); len(players) > 0 {
		kickAll(players, framework.Reason{Code: code, Text: text})
		return nil
	}
	return u.put(messageBody{Kind: kindKick, Code: uint32(code), Text: text})
}

func (u User) put(b messageBody) error {
	b.User = u.name
	_, err := u.c.messages.put(pipe.Address{User: u.name}, b, nil)
	return err
}

// Request asks the user's client, and reads its answer into answer, a pointer, or ignores
// it if that is nil: see framework.Player.Request. It blocks until the answer is there, or
// ctx ends, or half a minute if it has no deadline, and for 5 minutes at most. Beside the errors of Player.Request
// there are those of this package. After ErrUnknown, and after the end of ctx, the client
// may have been asked.
func (u User) Request(ctx context.Context, route string, v, answer any) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	ctx, cancelLong := context.WithTimeout(ctx, maxRequestTime)
	defer cancelLong()
	payload, err := u.request(ctx, route, v)
	if err != nil || answer == nil {
		return err
	}
	return codec.DecodeBody(payload, answer)
}

func (u User) request(ctx context.Context, route string, v any) ([]byte, error) {
	m := u.c.messages
	if players := m.here(u.name); len(players) > 0 {
		wait, err := u.c.host.Request(players[len(players)-1], route, v)
		if err == nil {
			return wait(ctx)
		}
		if !errors.Is(err, framework.ErrClosed) {
			return nil, err
		}
	}
	body, err := codec.AppendBody(nil, v)
	if err != nil {
		return nil, err
	}
	until, _ := ctx.Deadline()
	limit := max(-since(until), time.Millisecond)
	return u.wait(ctx, messageBody{Kind: kindRequest, Route: route, Body: body, Limit: uint32(limit.Milliseconds())})
}

// wait puts a message on its way, and waits for what comes of it.
func (u User) wait(ctx context.Context, b messageBody) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.User = u.name
	var call pending.Call
	id, err := u.c.messages.put(pipe.Address{User: u.name}, b, &call)
	if err != nil {
		return nil, err
	}
	return call.Wait(ctx, func() { u.c.messages.forget(id) })
}

// requestLimit bounds a Request whose ctx has no deadline.
const requestLimit = 30 * time.Second

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, requestLimit)
}

// ErrNode says that no server that clients can dial has the number.
var ErrNode = errors.New("cluster: no server with an address has the number")

// Move sends the user's session to another server, by its number: see framework.Player.Move.
// It blocks until the session's server has begun, or ctx ends, or half a minute; the session
// is there a little later. If it is there already, nothing happens. The error is ErrNode, or
// one of this package, or that of Player.Move.
func (u User) Move(ctx context.Context, node uint16) error {
	address, ok := u.c.addressOf(node)
	if !ok {
		return fmt.Errorf("%w: %d", ErrNode, node)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	m := u.c.messages
	if players := m.here(u.name); len(players) > 0 {
		return m.moveAll(players, node, address)
	}
	_, err := u.wait(ctx, messageBody{Kind: kindMove, Node: node, Text: address})
	return err
}

// addressOf returns what clients dial to reach a server that lives.
func (c *Cluster) addressOf(node uint16) (address string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members.Living() {
		if m.Incarnation.Node == node {
			return m.Address, m.Address != "" || m.Incarnation == c.me
		}
	}
	return "", false
}

// Place is where a user's session is.
type Place struct {
	// Node is the number of the server that has it. If zero, none has it for the moment: it
	// goes on at the server that its client comes to.
	Node uint16
	// Attached says that its client has a link there.
	Attached bool
}

// Where asks the directory, and then the server that has the user's session. The answer may
// be old when it is read. It blocks until ctx ends, or half a minute. The error is
// ErrOffline if the user has no session, ErrUnreachable if the directory or that server does
// not answer, or ctx's.
func (u User) Where(ctx context.Context) (Place, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	c := u.c
	if !c.messages.isOpen() {
		return Place{}, errOutside
	}
	for n := range 10 { // it may be on its way
		if players := c.host.User(u.name); len(players) > 0 {
			return Place{c.me.Node, attached(players) == 1}, nil
		}
		switch at := c.locate(ctx, u.name); at.Kind {
		case pipe.Nowhere:
			return Place{}, ErrOffline
		case pipe.Parked:
			return Place{}, nil
		case pipe.At:
			p, ok, err := u.askWhere(ctx, at.Server)
			if ok || err != nil {
				return p, err
			}
		}
		if !pause(ctx, time.Duration(n+1)*20*time.Millisecond) {
			return Place{}, ctx.Err()
		}
	}
	return Place{}, ErrUnreachable
}

// askWhere asks a server whether it has the user.
func (u User) askWhere(ctx context.Context, at core.Incarnation) (p Place, ok bool, err error) {
	c := u.c
	body := batchBody{Node: c.me.Node, Boot: c.me.Boot, Messages: []messageBody{{Kind: kindWhere, User: u.name}}}
	list, err := c.messages.askBatch(ctx, at, &body, askTime)
	switch {
	case ctx.Err() != nil:
		return Place{}, false, ctx.Err()
	case err != nil:
		return Place{}, false, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case list[0].Result != pipe.Done:
		return Place{}, false, nil
	}
	return Place{at.Node, list[0].Detail == 1}, true, nil
}
