// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Player is a session as the game sees it. It outlives the links that carry
// it. Its methods are safe to call from any goroutine, and none blocks.
//
// It takes 416 bytes, a size class of its own: a field more costs every player
// 32 bytes, and twice that until the garbage collector comes.
type Player struct {
	// Data is the game's own. It belongs to the player's callbacks, which run
	// one after the other; the framework never touches it.
	Data any

	// Immutable once the session is open.
	srv    *Server
	user   string
	origin *origin // nil if sessions of its address are not counted

	// Atomic: any goroutine reads them.
	owner  atomic.Pointer[loop] // nil while the session moves to another loop
	woken  atomic.Bool          // the owner was told to look at the player, or will be
	leaves atomic.Bool          // the session is on its way to another server
	rtt    atomic.Uint32        // in microseconds: see RTT
	debt   account              // by Config.Rate
	queued atomic.Uint64        // packets << 32 | bytes that wait in s; the owner writes it

	// Owned by the owner's loop. The id of s is also read under mu, and changes
	// under it.
	s       session.Session
	timer   session.Handle // 0: the session leaves for another server
	link    *transport.Link
	hello   *session.OpeningKey // the table knows the login by it; nil once the client was heard
	resumes uint32
	dirty   bool // in the loop's list of those that may have something to write
	sealed  bool // the session was opened on a sealed link
	inHigh  bool // the inbox was more than half full after the last push
	closing bool // it has ended, and what was sent before is still written: see closing.go

	mu sync.Mutex
	// Guarded by mu.
	in      mailbox.Inbox  // accepted and not yet handled
	out     mailbox.Outbox // sent and not yet taken over by the loop
	life    lifecycle.State
	reason  *Reason  // of the end, nil before it
	seats   seatList // in rooms, and wished for
	extra   *extra
	numbers bool // the client goes by the dictionary; changed on the owner's loop
	drains  bool // the server drains, and it is this player's turn to go
	slowed  bool // its messages wait until it has paid for what they made the server send
	active  bool // one executor has the player: a worker or a room
	moving  bool // the session leaves for another server: what is sent is still taken
}

// extra is what few players have. Guarded by the player's mu.
type extra struct {
	ctx        context.Context
	cancel     context.CancelFunc
	onClose    []func()
	kick       *Reason // why the session shall end, nil if it need not
	given      bool    // another server has asked for it
	over       mailbox.Overflow
	heartbeat  *HeartbeatProfile // to be taken over by the loop
	drainTurn  *drainTurn        // of a server that drains
	calls      pending.Table     // requests to the client; its own have other ids
	run        uint32            // see appRun
	logLimiter logs.Limiter
	lags       bool        // is logged
	groups     []string    // tags
	follows    []*roomKind // whose lists

	followers []*Player // that wait for the end of this one

	landing []*handoff // that wait until the session has an owner again

	migration *migration // to another server
	rejoin    []joining  // rooms that it was in here, and shall be in there
	putOff    []*joining // of those that it has come with: see Player.rejoin
	app       []byte     // from another server, for Config.Unpack
}

// ID returns the id of the session. It changes only when another login adopts
// the session (see DuplicateAdopt).
func (p *Player) ID() ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.s.ID()
}

// User returns what Config.Authenticate made of the ticket.
func (p *Player) User() string { return p.user }

// wakeLoop makes the owning loop look at the player: see onWake.
func (p *Player) wakeLoop() {
	if p.woken.Swap(true) {
		return
	}
	if l := p.owner.Load(); l != nil {
		_ = l.t.Post((*wakeTask)(p)) // refused only when the server has stopped
	}
	// A moving session looks for itself when it lands.
}

// wakeTask is a player as the task of the loop that was woken.
type wakeTask Player

// Run implements transport.Task.
func (b *wakeTask) Run(t *transport.Loop) {
	p := (*Player)(b)
	l := t.Value.(*loop)
	switch owner := p.owner.Load(); owner {
	case l:
		l.onWake(p)
	case nil: // on its way; it looks when it lands
	default:
		_ = owner.t.Post(b)
	}
}

// Kick ends the session, for the game at once. What was sent to the player before
// goes out first, in order, and then its client is told why: within 5 s, or not at
// all if it does not read. A client without a link hears nothing more, but is told
// the code when it comes back. What is sent after Kick may not arrive, nor what
// the handler that calls it returns.
//
// After a code of 200 or above, the game's own included, the client does not come
// back by itself; 0 stands for CodeKicked. The game's own begin at CodeGame,
// 1,000; a lower one that ends no session (see Code) panics. The first
// kick stands, but for a Move that is not done yet.
func (p *Player) Kick(code Code, text string) { p.KickWith(Reason{Code: code, Text: text}) }

// KickWith is Kick with a number beside the text, for the client's code and not for
// people: until when the user is banned, or which version it needs. The client finds
// it in CloseError.Detail, also if it comes back only later.
func (p *Player) KickWith(why Reason) {
	if why.Code == 0 {
		why.Code = session.Kicked
	}
	if !why.Code.Ends() {
		panic(fmt.Sprintf("framework: Kick with code %d, which ends no session: a game's codes start at %d", why.Code, session.Game))
	}
	p.dismiss(why)
}

// dismiss is Kick with any code, as those by which a server lets its players go.
func (p *Player) dismiss(why Reason) {
	p.mu.Lock()
	if x := p.extraLocked(); x.kick == nil || x.kick.Code == session.Moved {
		x.kick = &why
	}
	p.mu.Unlock()
	p.wakeLoop()
}

// Attached reports whether the player has a link at present.
func (p *Player) Attached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life.Attached()
}

// RTT returns the smoothed round trip of the player's link. On KCP it is as
// fresh as the last message; on TCP and WebSocket it is the kernel's, on Linux
// alone, looked up now and then, and ends at a proxy that is in between. 0 while
// it is unknown.
func (p *Player) RTT() time.Duration { return time.Duration(p.rtt.Load()) * time.Microsecond }

// measure takes over the round trip for RTT, and returns it. Called on the
// owning loop.
func (p *Player) measure() time.Duration {
	rtt := p.rttOnLoop()
	if us := uint32(min(rtt.Microseconds(), math.MaxUint32)); us != p.rtt.Load() {
		p.rtt.Store(us)
	}
	return rtt
}

// Context is done when the session ends, before its OnClose: so a handler that
// waits for it comes back.
func (p *Player) Context() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.extraLocked()
	if x.ctx == nil {
		x.ctx, x.cancel = context.WithCancel(context.Background())
		if p.life.Ending() {
			x.cancel()
		}
	}
	return x.ctx
}

// OnClose makes f run when the session is closed, after the server's OnClose
// and in reverse order of registration. On a closed session it runs at once.
func (p *Player) OnClose(f func()) {
	p.mu.Lock()
	if p.life.Closed() {
		p.mu.Unlock()
		f()
		return
	}
	x := p.extraLocked()
	x.onClose = append(x.onClose, f)
	p.mu.Unlock()
}

// appRun counts the runs of the client's app that the session has had: it
// was opened in run 0.
func (x *extra) appRun() uint32 {
	if x == nil {
		return 0
	}
	return x.run
}

// release wakes the sessions that wait for the end of this one. Called on the owning loop,
// without mu.
func (p *Player) release() {
	p.mu.Lock()
	var cancel context.CancelFunc
	if p.extra != nil {
		cancel = p.extra.cancel
	}
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (p *Player) extraLocked() *extra {
	if p.extra == nil {
		p.extra = new(extra)
	}
	return p.extra
}

// drainTurn is when and how a player is let go. Guarded by the player's mu.
type drainTurn struct {
	at    time.Time
	asked bool // on its present link, to hold and to answer
}

// failCalls ends all requests: their answers can't come any more.
func (x *extra) failCalls(err error) {
	if x != nil {
		x.calls.FailAll(err)
	}
}

// SetHeartbeat changes the player's profile for the rest of its session; the
// client is told. The error says why a profile can't work.
func (p *Player) SetHeartbeat(f HeartbeatProfile) error {
	if err := p.srv.cfg.Session.CheckProfile(f.Interval, f.Timeout); err != nil {
		return err
	}
	p.mu.Lock()
	p.extraLocked().heartbeat = &f
	p.mu.Unlock()
	p.wakeLoop()
	return nil
}

// logLimited logs what the player's client may cause with every message.
func (p *Player) logLimited(level slog.Level, text string, attrs ...any) {
	p.mu.Lock()
	said := &p.extraLocked().logLimiter
	p.mu.Unlock()
	if n, ok := said.Allow(clock()); ok {
		p.srv.log.Log(context.Background(), level, text, append([]any{"session", p.ID(), "user", p.label(), "times", n}, attrs...)...)
	}
}

// endReason returns why the session has ended.
func (p *Player) endReason() Reason {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *p.reason
}

// label is the player's user as logs have it.
func (p *Player) label() string { return logs.Label(p.user) }
