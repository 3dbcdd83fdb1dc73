// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/pipe"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
)

// Calls from one server to another.

// Target says which server a Call goes to.
type Target struct {
	kind targetKind
	node uint16
	name string // a label, a user, or a type of room
	key  string // of the room
}

type targetKind uint8

const (
	toNode targetKind = iota
	toAny
	toOwner
	toRoom
)

// Node is the server with a number, this one too.
func Node(n uint16) Target { return Target{kind: toNode, node: n} }

// Any is one of the servers with a label: Config.Labels. Those that drain come last.
func Any(label string) Target { return Target{kind: toAny, name: label} }

// OwnerOf is the server that has the session of a user. The handler finds it there by
// framework.Server.User, unless it has just left.
func OwnerOf(user string) Target { return Target{kind: toOwner, name: user} }

// ErrNoNode says that no server that lives has the number or the label of a Target, or that
// none of them can be reached. Nothing was called.
var ErrNoNode = errors.New("cluster: no server that can be called has the number or the label")

// maxCalls bounds the handlers that run at once at one server, maxCallTime how long a caller
// waits for one, and maxErrorText the text of its error in bytes.
const (
	maxCalls     = 1 << 12
	maxCallTime  = maxRequestTime
	maxErrorText = 1 << 10
)

// Handle registers the handler of calls to a route, before the server is started. It may be
// called on many goroutines at once. ctx ends when the caller's time does, or when this
// server has left the cluster; from is the caller's server.
//
// An error that is a *framework.Error, as that of framework.Fail, reaches the caller as it
// is. Any other one, and a panic, is logged, and the caller is told framework.ErrorInternal.
// A route that has a handler panics, as does a type that would not arrive whole.
func Handle[Q, A any](c *Cluster, route string, fn func(ctx context.Context, from Member, q Q) (A, error)) {
	c.services.add(route, func(ctx context.Context, from Member, call *callBody) ([]byte, error) {
		var q Q
		if err := codec.DecodeBody(call.Body, &q); err != nil {
			return nil, codec.BadRequest(err)
		}
		a, err := fn(ctx, from, q)
		if err != nil {
			return nil, err
		}
		return codec.AppendBody(nil, &a)
	}, codec.CheckType(reflect.TypeFor[Q]()), codec.CheckType(reflect.TypeFor[A]()))
}

// Call calls the handler of a route at another server, or at this one, and returns its
// answer. It blocks until that is there, or ctx ends, or half a minute if ctx has no
// deadline, and for 5 minutes at most. The handler is told the deadline, and not that ctx is
// canceled. Safe to call from any goroutine, after Start.
//
// The error is a *framework.Error: the handler's, or ErrorNoRoute if that server has none,
// ErrorBadRequest if q is not what it takes, ErrorBusy if 4,096 handlers run there. It is
// ErrNoNode, ErrOffline or ErrNoRoom at once if there is no such server, user or room,
// ErrUnreachable if this server is not in the cluster, if that one is paused or leaves, or if
// the directory does not answer, and codec.ErrTooLarge beyond 512 KiB: in all these cases
// nothing was called, but that a large answer was given up. After ErrUnknown, and after ctx's
// error, the handler may have run, or may run yet. Nothing is tried again that may have been
// called.
func Call[A any](ctx context.Context, c *Cluster, to Target, route string, q any) (A, error) {
	var a A
	body, err := codec.AppendBody(nil, q)
	if err != nil {
		return a, err
	}
	payload, err := c.services.call(ctx, to, &callBody{Route: route, Body: body})
	if err == nil {
		err = codec.DecodeBody(payload, &a)
	}
	return a, err
}

// callBody is a call to another server. Fields are only ever appended.
type callBody struct {
	Node  uint16 // of the caller
	Boot  uint32
	Route string
	User  string // whose session must be there, if any
	Limit uint32 // in milliseconds
	Body  []byte // a payload

	RoomType, RoomKey string // that must be open there, if any
}

// replyBody is what comes of a call.
type replyBody struct {
	Result uint8
	Code   uint32
	Text   string
	Body   []byte // a payload
}

// The results of a call. Of all but the first three, no handler has run.
const (
	callDone    = 0
	callFailed  = 1 // Code and Text
	callLarge   = 2 // the answer is: Text
	callRefused = 3 // Code and Text: that server will not
	callAway    = 4 // Text: that server can't now
	callAbsent  = 5 // the user has no session there, or the room is not open there
)

// callHandler serves a call. The error is errAbsent if that has not begun.
type callHandler func(ctx context.Context, from Member, q *callBody) ([]byte, error)

// services are the calls that are made here, and those that come.
type services struct {
	c       *Cluster
	routes  map[string]callHandler // not changed once the server has joined
	leaving atomic.Bool

	running, made, unanswered, served, failed, refused atomic.Int64
	garbled, said                                      logs.Limiter

	mu      sync.Mutex
	waiting map[*waiting]bool // guarded by mu
}

// waiting is a call that waits for its reply.
type waiting struct {
	to     core.Incarnation
	cancel context.CancelFunc
}

func newServices(c *Cluster) *services {
	return &services{c: c, routes: map[string]callHandler{}, waiting: map[*waiting]bool{}}
}

// serverDied ends the calls that wait for a server.
func (s *services) serverDied(i core.Incarnation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.waiting {
		if w.to == i {
			w.cancel()
		}
	}
}

// whileAlive returns a context that ends when a server is declared dead, too.
func (s *services) whileAlive(ctx context.Context, to core.Incarnation) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := &waiting{to, cancel}
	s.mu.Lock()
	s.waiting[w] = true
	s.mu.Unlock()
	return ctx, func() {
		s.mu.Lock()
		delete(s.waiting, w)
		s.mu.Unlock()
		cancel()
	}
}

func (s *services) add(route string, h callHandler, problems ...error) {
	switch err := errors.Join(problems...); {
	case err != nil:
		panic(fmt.Sprintf("cluster: Handle of %q: %v", route, err))
	case s.c.joined.Load():
		panic(fmt.Sprintf("cluster: Handle of %q after the server was started", route))
	case route == "" || s.routes[route] != nil:
		panic(fmt.Sprintf("cluster: Handle of %q, which is empty or has a handler", route))
	}
	s.routes[route] = h
}

func callName(i core.Incarnation) string { return i.String() + ".call" }

// call finds the server of a target, and asks it.
func (s *services) call(ctx context.Context, to Target, q *callBody) ([]byte, error) {
	if len(q.Body) > maxMessage {
		return nil, fmt.Errorf("cluster: a call of %d bytes, of at most %d: %w", len(q.Body), maxMessage, codec.ErrTooLarge)
	}
	if !s.c.messages.isOpen() {
		return nil, errOutside
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	ctx, cancelLong := context.WithTimeout(ctx, maxCallTime)
	defer cancelLong()
	s.made.Add(1)
	q.Node, q.Boot = s.c.me.Node, s.c.me.Boot
	switch to.kind {
	case toOwner:
		return s.callOwner(ctx, to.name, q)
	case toRoom:
		return s.callRoom(ctx, to, q)
	}
	return s.callOneOf(ctx, s.candidates(to), to, q)
}

// candidates are the servers of a target, in the order to be tried.
func (s *services) candidates(to Target) []Member {
	list := slices.DeleteFunc(s.c.Members(), func(m Member) bool {
		if to.kind == toAny {
			return !slices.Contains(m.Labels, to.name)
		}
		return m.Node != to.node
	})
	for i := len(list) - 1; i > 0; i-- {
		j := s.c.rand(i + 1)
		list[i], list[j] = list[j], list[i]
	}
	slices.SortStableFunc(list, func(a, b Member) int {
		switch {
		case a.Draining == b.Draining:
			return 0
		case a.Draining:
			return 1
		}
		return -1
	})
	return list
}

// callOneOf asks one server after the other, as long as no handler has run.
func (s *services) callOneOf(ctx context.Context, list []Member, to Target, q *callBody) ([]byte, error) {
	last := fmt.Errorf("%w: %s", ErrNoNode, to)
	for _, m := range list {
		r, err := s.ask(ctx, m.incarnation, q)
		switch {
		case errors.Is(err, ErrNoServer):
			last = fmt.Errorf("%w: %s: %w", ErrNoNode, to, err)
		case err != nil:
			return nil, err
		case r.Result >= callRefused:
			last = r.err(m.Node)
		default:
			return r.Body, r.err(m.Node)
		}
	}
	return nil, last
}

// String names a target in errors.
func (to Target) String() string {
	switch to.kind {
	case toNode:
		return fmt.Sprint("server ", to.node)
	case toAny:
		return fmt.Sprintf("any %q", to.name)
	case toRoom:
		return fmt.Sprintf("room %.64q of type %.64q", to.key, to.name)
	}
	return "the server of " + logs.Label(to.name)
}

// callOwner asks the server of a user. A session may be on its way.
func (s *services) callOwner(ctx context.Context, user string, q *callBody) ([]byte, error) {
	q.User = user
	nowhere := fmt.Errorf("%w: its session is at no server for the moment", ErrUnreachable)
	return s.callAt(ctx, q, func() (core.Incarnation, error) {
		if len(s.c.host.User(user)) > 0 {
			return s.c.me, nil
		}
		switch at := s.c.locate(ctx, user); at.Kind {
		case pipe.Nowhere:
			return at.Server, ErrOffline
		case pipe.Unclear:
			return at.Server, fmt.Errorf("%w: the directory does not answer", ErrUnreachable)
		case pipe.At:
			return at.Server, nil
		}
		return core.Incarnation{}, nowhere
	}, func(core.Incarnation) error { return nowhere })
}

// callAt asks the server that find returns, up to ten times in a second, as what the call is
// for may be on its way. absent is the error if it is not at that server. Any error but
// ErrUnreachable ends it.
func (s *services) callAt(ctx context.Context, q *callBody, find func() (core.Incarnation, error), absent func(at core.Incarnation) error) ([]byte, error) {
	var last error
	for n := range 10 {
		at, err := find()
		if err == nil {
			var r *replyBody
			r, err = s.ask(ctx, at, q)
			switch {
			case errors.Is(err, ErrNoServer):
				err = fmt.Errorf("%w: %w", ErrUnreachable, err)
			case err != nil:
				return nil, err
			case r.Result == callAbsent:
				err = absent(at)
			case r.Result == callAway:
				err = r.err(at.Node)
			default:
				return r.Body, r.err(at.Node)
			}
		}
		if !errors.Is(err, ErrUnreachable) {
			return nil, err
		}
		last = err
		if !pause(ctx, time.Duration(n+1)*20*time.Millisecond) {
			break
		}
	}
	return nil, last
}

// err is what the caller is told, nil if the call was done.
func (r *replyBody) err(node uint16) error {
	switch r.Result {
	case callDone:
		return nil
	case callFailed, callRefused:
		return &codec.Error{Code: codec.ErrorCode(r.Code), Text: r.Text}
	case callLarge:
		return fmt.Errorf("cluster: server %d: %s: %w", node, r.Text, codec.ErrTooLarge)
	}
	return fmt.Errorf("%w: server %d: %s", ErrUnreachable, node, r.Text)
}

// ask brings a call to a server, and its reply back.
func (s *services) ask(ctx context.Context, to core.Incarnation, q *callBody) (*replyBody, error) {
	until, _ := ctx.Deadline()
	q.Limit = uint32(max(-since(until), time.Millisecond).Milliseconds())
	alive, done := s.whileAlive(ctx, to)
	defer done()
	if s.c.dead(to) {
		return nil, fmt.Errorf("%w: it was declared dead", ErrNoServer)
	}
	b, err := s.bring(alive, to, encode(q))
	if err != nil {
		if !errors.Is(err, ErrNoServer) {
			s.unanswered.Add(1)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrNoServer):
			return nil, err
		case alive.Err() != nil:
			return nil, fmt.Errorf("%w: server %d has died, or left", ErrUnknown, to.Node)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	r := new(replyBody)
	if err := decode(b, r); err != nil {
		return nil, fmt.Errorf("%w: a reply that is not understood: %w", ErrUnknown, err)
	}
	return r, nil
}

// bring is ask for the bytes of a call.
func (s *services) bring(ctx context.Context, to core.Incarnation, call []byte) ([]byte, error) {
	if to != s.c.me {
		return s.c.bus.Ask(ctx, callName(to), call)
	}
	replied := make(chan []byte, 1)           // so that the handler never waits for a caller that has gone
	go func() { replied <- s.answer(call) }() // ends with the handler
	select {
	case b := <-replied:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer serves a call of another server. It runs on a goroutine of its own.
func (s *services) answer(b []byte) []byte {
	var q callBody
	if err := decode(b, &q); err != nil {
		if n, ok := s.garbled.Allow(clock()); ok {
			s.c.log.Error("a call of another server is not understood", "times", n, "error", err)
		}
		return nil
	}
	defer s.running.Add(-1)
	h, r := s.admit(&q, s.running.Add(1))
	if h == nil {
		s.refused.Add(1)
		return encode(r)
	}
	s.served.Add(1)
	r = s.reply(h, &q)
	if r.Result != callDone {
		s.failed.Add(1)
	}
	return encode(r)
}

// admit returns the handler of a call, or why none runs.
func (s *services) admit(q *callBody, running int64) (callHandler, *replyBody) {
	h := s.routes[q.Route]
	switch {
	case s.leaving.Load():
		return nil, &replyBody{Result: callAway, Text: "it leaves the cluster"}
	case !s.c.HasLease():
		return nil, &replyBody{Result: callAway, Text: "it is paused, as the directory does not answer it"}
	case h == nil:
		return nil, &replyBody{Result: callRefused, Code: uint32(codec.ErrorNoRoute), Text: fmt.Sprintf("no handler of %.64q", q.Route)}
	case running > maxCalls:
		return nil, &replyBody{Result: callRefused, Code: uint32(codec.ErrorBusy), Text: fmt.Sprintf("more than %d calls run", maxCalls)}
	case q.User != "" && len(s.c.host.User(q.User)) == 0, q.RoomType != "" && !s.c.host.HasRoom(q.RoomType, q.RoomKey):
		return nil, s.absent(q)
	}
	return h, nil
}

// absent says that what a call is for is not here, or soon at another server.
func (s *services) absent(q *callBody) *replyBody {
	if q.RoomType != "" && s.c.leaves(q.RoomType, q.RoomKey) {
		return &replyBody{Result: callAway, Text: "the room goes to another server"}
	}
	return &replyBody{Result: callAbsent}
}

// reply runs a handler.
func (s *services) reply(h callHandler, q *callBody) *replyBody {
	ctx, cancel := context.WithTimeout(s.c.ctx, min(time.Duration(q.Limit)*time.Millisecond, maxCallTime))
	defer cancel()
	var payload []byte
	err := error(&codec.Error{Code: codec.ErrorInternal, Text: "internal error"}) // of one that panics
	var no *codec.Error
	s.c.guarded("call of "+q.Route, func() {
		b, failed := h(ctx, s.c.member(core.Incarnation{Node: q.Node, Boot: q.Boot}), q)
		if errors.As(failed, &no) {
			_ = no.Code // its methods, and a nil pointer, panic here
		}
		payload, err = b, failed
	})
	switch {
	case err == errAbsent:
		return s.absent(q)
	case errors.As(err, &no):
		return &replyBody{Result: callFailed, Code: uint32(no.Code), Text: no.Text[:min(len(no.Text), maxErrorText)]}
	case err != nil:
		if n, ok := s.said.Allow(clock()); ok && ctx.Err() == nil {
			s.c.log.Error("a call of another server failed", "route", q.Route, "times", n, "error", err)
		}
		return &replyBody{Result: callFailed, Code: uint32(codec.ErrorInternal), Text: "internal error"}
	case len(payload) > maxMessage:
		return &replyBody{Result: callLarge, Text: fmt.Sprintf("an answer of %d bytes, of at most %d", len(payload), maxMessage)}
	}
	return &replyBody{Body: payload}
}

// leaveTime bounds how long a server that leaves waits for handlers of calls.
const leaveTime = 5 * time.Second

// leave takes no call any more, and waits for those that run.
func (s *services) leave(ctx context.Context) {
	s.leaving.Store(true)
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	for s.running.Load() > 0 && pause(ctx, 10*time.Millisecond) {
	}
}

// fill adds what was counted.
func (s *services) fill(st *framework.ClusterStats) {
	n := func(v *atomic.Int64) uint64 { return uint64(v.Load()) }
	st.Calls = framework.ClusterCallStats{
		Running: s.running.Load(), Made: n(&s.made), Unanswered: n(&s.unanswered),
		Served: n(&s.served), Failed: n(&s.failed), Refused: n(&s.refused),
	}
}
