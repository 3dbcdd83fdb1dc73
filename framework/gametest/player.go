// SPDX-License-Identifier: MIT

package gametest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport/kcptest"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// Player is a user with a real client. What the server sends is kept in order until the
// test reads it, by Next and its like, unless the client has a handler of that
// route. The goroutine of the test owns it, except for what mu guards.
type Player struct {
	// Client is the client itself, for what should fail and for handlers of the test's
	// own: they run on the client's goroutine. Another one after Restart.
	Client *client.Client
	// User is the name that logs in.
	User string

	g       *Game
	home    *Node // where it logs in
	line    *memnet.Line
	id      uint64
	carrier framework.Carrier
	starts  uint64

	mu sync.Mutex
	// Guarded by mu.
	inbox   map[string][]codec.Raw // by route: what the test has not read
	events  []client.Event         // that it has not read
	trace   [][]arrival            // in blocks: a match has a hundred thousand, which are never copied
	changed chan struct{}          // closed when something comes, nil while the test does not wait
}

// arrival is an event or a message, and when it came.
type arrival struct {
	at      time.Duration
	event   client.EventKind // 0: a message
	route   string
	payload codec.Raw
}

// traceBlock is how many arrivals a block of a trace has.
const traceBlock = 256

func (a arrival) String() string {
	if a.event != 0 {
		return fmt.Sprintf("%v %v", a.at, a.event)
	}
	return fmt.Sprintf("%v %s %x", a.at, a.route, []byte(a.payload))
}

// Player makes a user's client and logs it in at the first server, over the carrier if one is
// named. It fails the test if there is no session within Options.Patience.
func (g *Game) Player(user string, over ...framework.Carrier) *Player {
	g.T.Helper()
	return g.Node.Player(user, over...)
}

// Player is Game.Player at this server. In a cluster the client knows the others as well.
func (n *Node) Player(user string, over ...framework.Carrier) *Player {
	n.g.T.Helper()
	p := n.NewPlayer(user, over...)
	p.Connect()
	return p
}

// NewPlayer makes a user's client that does nothing yet: for handlers that must be there
// at the first message, and for logins that should fail (Client.Connect).
func (g *Game) NewPlayer(user string, over ...framework.Carrier) *Player {
	g.T.Helper()
	return g.Node.NewPlayer(user, over...)
}

// NewPlayer is Game.NewPlayer at this server.
func (n *Node) NewPlayer(user string, over ...framework.Carrier) *Player {
	n.g.T.Helper()
	g := n.g
	i := len(g.players) + 1
	p := &Player{User: user, id: uint64(i), g: g, home: n, carrier: g.opts.Carrier, inbox: map[string][]codec.Raw{}}
	if len(over) > 0 {
		p.carrier = over[0]
	}
	cond := g.opts.Conditions
	// No two players are equally far away: nothing of the one reaches the server at
	// the moment that something of another does, so that it is the same in every run
	// which of the two comes first.
	cond.Delay += time.Duration(i)*time.Microsecond + 137*time.Nanosecond
	p.line = g.net.NewLine(g.opts.Seed+uint64(i)<<16, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), cond)
	p.newClient("")
	g.players = append(g.players, p)
	return p
}

// newClient makes the client, which resumes a session if it has its token.
func (p *Player) newClient(token string) {
	p.g.T.Helper()
	p.starts++
	cfg := client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(p.User), nil },
		Token:  token, ServerKey: p.home.Server.PublicKey(), Logger: p.g.opts.Logger.With("client", p.User),
		Rand:    newChance(p.g.opts.Seed, p.id<<32+p.starts),
		OnEvent: p.event, OnMessage: p.message,
		Dial:         p.dial,
		ListenPacket: p.listen,
		KCP: func(pc net.PacketConn, server net.Addr, conv uint32, mtu int) net.Conn {
			c := kcptest.Dial(pc, server, conv)
			c.SetMTU(mtu)
			return c
		},
	}
	if p.g.opts.Client != nil {
		p.g.opts.Client(p.User, &cfg)
	}
	c, err := client.New(p.addresses(), cfg)
	if err != nil {
		p.g.T.Fatalf("gametest: %s: %v", p.User, err)
	}
	p.Client = c
}

// addresses are those that the client knows: that of its server first, and in a cluster those
// of the others.
func (p *Player) addresses() []string {
	at := func(n *Node) string { return fmt.Sprintf("%v://%v", p.carrier, n.Server.Addr(p.carrier)) }
	list := []string{at(p.home)}
	if p.g.opts.Servers > 0 {
		for _, n := range p.g.nodes {
			if n != p.home {
				list = append(list, at(n))
			}
		}
	}
	return list
}

// Node returns the server that has the player's session, and nil while none has.
func (p *Player) Node() *Node {
	for _, n := range p.g.nodes {
		if n.Running() && n.Server.Player(p.Client.ID()) != nil {
			return n
		}
	}
	return nil
}

// dial opens a stream, or KCP below one.
func (p *Player) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if network != "plain-kcp" {
		return p.line.DialTCP(ctx, at)
	}
	pc, err := p.listen()
	if err != nil {
		return nil, err
	}
	return kcptest.Dial(pc, net.UDPAddrFromAddrPort(at), 1), nil
}

func (p *Player) listen() (net.PacketConn, error) {
	return p.line.ListenPacket()
}

// event keeps an event for the test. It runs on the client's goroutine, as
// message does.
func (p *Player) event(e client.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	p.noteLocked(arrival{event: e.Kind})
}

func (p *Player) message(route string, payload codec.Raw) {
	p.mu.Lock()
	defer p.mu.Unlock()
	payload = bytes.Clone(payload)
	p.inbox[route] = append(p.inbox[route], payload)
	p.noteLocked(arrival{route: route, payload: payload})
}

func (p *Player) noteLocked(a arrival) {
	a.at = p.g.Now()
	if n := len(p.trace); n == 0 || len(p.trace[n-1]) == traceBlock {
		p.trace = append(p.trace, make([]arrival, 0, traceBlock))
	}
	block := &p.trace[len(p.trace)-1]
	*block = append(*block, a)
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// Trace returns all events and messages that have come, but for those of routes with
// a handler, with their times: to compare two runs.
func (p *Player) Trace() []string { return p.last(math.MaxInt) }

// last returns the last n lines of the trace.
func (p *Player) last(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.Concat(p.trace...)
	list = list[max(len(list)-n, 0):]
	lines := make([]string, len(list))
	for i, a := range list {
		lines[i] = a.String()
	}
	return lines
}

// context bounds what the test waits for.
func (p *Player) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), p.g.opts.Patience)
}

// must fails the test for an error.
func (p *Player) must(err error, format string, v ...any) {
	if err != nil {
		p.g.T.Helper()
		p.g.T.Fatalf("gametest: %s at %v: %s: %v", p.User, p.g.Now(), fmt.Sprintf(format, v...), err)
	}
}

// Connect logs in.
func (p *Player) Connect() {
	p.g.T.Helper()
	ctx, cancel := p.context()
	defer cancel()
	p.must(p.Client.Connect(ctx), "log in")
}

// Join takes a seat in a room.
func (p *Player) Join(room, key string) {
	p.g.T.Helper()
	ctx, cancel := p.context()
	defer cancel()
	p.must(p.Client.Join(ctx, room, key), "join %s/%s", room, key)
}

// JoinAny takes a seat in any room of a type, and returns its key.
func (p *Player) JoinAny(room string) (key string) {
	p.g.T.Helper()
	ctx, cancel := p.context()
	defer cancel()
	key, err := p.Client.JoinAny(ctx, room)
	p.must(err, "join any %s", room)
	return key
}

// Leave gives up the seat in the room of a type.
func (p *Player) Leave(room string) {
	p.g.T.Helper()
	ctx, cancel := p.context()
	defer cancel()
	p.must(p.Client.Room(room).Leave(ctx), "leave %s", room)
}

// In waits until the player has a seat in a room of a type, by its own wish or the
// server's, and returns the room's key.
func (p *Player) In(room string) (key string) {
	p.g.T.Helper()
	p.g.Within(p.User+" in a room "+room, func() (in bool) {
		key, in = p.Client.Room(room).Key()
		return in
	})
	return key
}

// Out waits until the player has no seat in a room of a type.
func (p *Player) Out(room string) {
	p.g.T.Helper()
	p.g.Within(p.User+" out of room "+room, func() bool {
		_, in := p.Client.Room(room).Key()
		return !in
	})
}

// Send sends v one way.
func (p *Player) Send(route string, v any) {
	p.g.T.Helper()
	p.must(p.Client.Send(route, v), "send %s", route)
}

// Request sends v and returns the answer. A refusal fails the test: where one is
// due, call RequestError.
func Request[A any](p *Player, route string, v any) (a A) {
	p.g.T.Helper()
	ctx, cancel := p.context()
	defer cancel()
	p.must(p.Client.Request(ctx, route, v, &a), "request %s", route)
	return a
}

// RequestError sends v and returns the code and the text by which it is refused, and
// fails the test if it is not.
func (p *Player) RequestError(route string, v any) *framework.Error {
	p.g.T.Helper()
	ctx, cancel := p.context()
	defer cancel()
	err := p.Client.Request(ctx, route, v, nil)
	e, ok := err.(*framework.Error)
	if !ok {
		p.g.T.Fatalf("gametest: %s at %v: request %s: got %v, want a refusal", p.User, p.g.Now(), route, err)
	}
	return e
}

// Cut pulls the player's cable out: nothing of what either side sends arrives, and neither is
// told. On TCP it arrives after Heal, as what was lost is sent again. Whoever finds the
// other silent for too long ends the link. An app that is told by its system
// that the network is gone calls Client.Cut.
func (p *Player) Cut() { p.line.Cut() }

// Heal puts the cable back.
func (p *Player) Heal() { p.line.Heal() }

// Drop breaks the player's link. The server is not told, the client is and comes back.
func (p *Player) Drop() { p.Client.Cut() }

// SetConditions changes the player's line.
func (p *Player) SetConditions(c Conditions) { p.line.SetConditions(c) }

// Loss sets the share of datagrams that are lost on the player's line, from 0 to
// 1. TCP and WebSocket lose none.
func (p *Player) Loss(share float64) {
	c := p.line.Conditions()
	c.Loss = share
	p.line.SetConditions(c)
}

// Delay sets how long the player's line takes, one way.
func (p *Player) Delay(d time.Duration) {
	c := p.line.Conditions()
	c.Delay = d
	p.line.SetConditions(c)
}

// Rebind gives the player another address, as a phone that leaves a Wi-Fi. Sealed KCP
// goes on with it; on another carrier the link breaks and the client comes back.
func (p *Player) Rebind() {
	p.g.moves++
	p.line.SetAddr(netip.AddrFrom4([4]byte{10, 2, byte(p.g.moves >> 8), byte(p.g.moves)}))
	if !p.Client.Rebind() {
		p.Client.Cut()
	}
}

// Restart ends the player's app without a word and starts it again: it comes back to its
// session by its token. Handlers of the test's own are to be registered again.
func (p *Player) Restart() {
	p.g.T.Helper()
	token := p.Client.Token()
	p.line.Cut() // so that nothing is said on the way out
	p.Client.Cut()
	_ = p.Client.Close()
	p.line.Heal()
	p.newClient(token)
	p.Connect()
}

// Close leaves for good, and says so to the server.
func (p *Player) Close() { _ = p.Client.Close() }

// await waits until take, which is called with mu held, returns true.
func (p *Player) await(what string, take func() bool) {
	p.g.T.Helper()
	ctx, cancel := p.context()
	defer cancel()
	for {
		p.mu.Lock()
		ok := take()
		if !ok && p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.g.T.Fatalf("gametest: %s at %v: no %s within %v; what came last:\n\t%s",
				p.User, p.g.Now(), what, p.g.opts.Patience, strings.Join(p.last(10), "\n\t"))
		}
	}
}

// Event waits for the next event of a kind. Others before it are skipped.
func (p *Player) Event(kind client.EventKind) (e client.Event) {
	p.g.T.Helper()
	p.await("event "+kind.String(), func() bool {
		for len(p.events) > 0 {
			e, p.events = p.events[0], p.events[1:]
			if e.Kind == kind {
				return true
			}
		}
		return false
	})
	return e
}

// Next waits for the next message on a route that the test has not read, and returns it.
func Next[M any](p *Player, route string) M {
	p.g.T.Helper()
	m, _ := next[M](p, route)
	return m
}

func next[M any](p *Player, route string) (m M, payload codec.Raw) {
	p.g.T.Helper()
	p.await("message "+route, func() bool {
		q := p.inbox[route]
		if len(q) == 0 {
			return false
		}
		payload, p.inbox[route] = q[0], q[1:]
		return true
	})
	p.must(codec.DecodeBody(payload, &m), "message %s", route)
	return m, payload
}

// Expect waits for the next message on a route, and fails the test if it is not
// want.
func Expect[M any](p *Player, route string, want M) {
	p.g.T.Helper()
	got, payload := next[M](p, route)
	if b, err := codec.AppendBody(nil, &want); err == nil && bytes.Equal(b, payload) || reflect.DeepEqual(got, want) {
		return
	}
	p.g.T.Fatalf("gametest: %s at %v: message %s: got %#v, want %#v", p.User, p.g.Now(), route, got, want)
}

// Until reads the messages on a route until ok returns true for one, and returns
// it.
func Until[M any](p *Player, route string, ok func(M) bool) M {
	p.g.T.Helper()
	for {
		if m := Next[M](p, route); ok(m) {
			return m
		}
	}
}

// Newest waits for a message on a route, and returns the one that came last: of
// positions and the like, where older ones tell nothing any more.
func Newest[M any](p *Player, route string) (m M) {
	p.g.T.Helper()
	m = Next[M](p, route)
	if all := All[M](p, route); len(all) > 0 {
		m = all[len(all)-1]
	}
	return m
}

// All returns the messages on a route that have come and that the test has not
// read. It does not wait.
func All[M any](p *Player, route string) []M {
	p.g.T.Helper()
	p.mu.Lock()
	q := p.inbox[route]
	delete(p.inbox, route)
	p.mu.Unlock()
	all := make([]M, len(q))
	for i, payload := range q {
		p.must(codec.DecodeBody(payload, &all[i]), "message %s", route)
	}
	return all
}
