// SPDX-License-Identifier: MIT

package framework

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// loop is the framework's side of one event loop: the sessions it owns, their
// deadlines and the links that are still being opened. Owned by that loop.
type loop struct {
	srv            *Server
	t              *transport.Loop
	shard          session.Shard
	wheel          *session.Wheel[*Player]
	keys           *session.Keys
	newest         map[*transport.Link]map[uint32]uint64 // number of the last datagram, by route
	openings       []*opening                            // in the order of their deadlines, which are all alike
	sweepAt        int                                   // of those that are over, when openings are that many
	dirty          []*Player                             // may have something to write
	buf            []byte                                // output on its way to a link
	payload        []byte                                // an inline handler's answer
	answer         []byte                                // and the body made of it
	activity       *watchdog.Activity                    // its Inline handler
	seen           samples                               // of its players, now and then
	housekeepingAt time.Duration
	storm          loginStorm
}

// transportHandler joins transport's events with sessions and handlers. It is the one
// place where the three meet.
type transportHandler struct{ srv *Server }

// OnLoop implements transport.Handler.
func (g *transportHandler) OnLoop(t *transport.Loop) {
	s := g.srv
	l := &loop{srv: s, t: t, wheel: session.NewWheel[*Player](s.cfg.Session.Tick), keys: s.cfg.Secret.Keys(), seen: newSamples(), newest: map[*transport.Link]map[uint32]uint64{}}
	l.activity = s.watch.Register(watchdog.Loop, strconv.Itoa(t.Index()))
	var seed [16]byte
	_, _ = io.ReadFull(s.cfg.Rand, seed[:]) // ping ids need no more than to differ
	rng := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])))
	l.shard.Config, l.shard.Rand = &s.cfg.Session, rng.Uint32
	l.shard.More = func(n int, away bool) bool { return s.budget.TakeShare(&l.shard.Share, n, away) }
	t.Value = l
	s.mu.Lock()
	s.loops = append(s.loops, l) // in the order of their indexes: Start begins them one by one
	s.mu.Unlock()
}

func loopOf(t *transport.Loop) *loop { return t.Value.(*loop) }

// OnOpen implements transport.Handler.
func (g *transportHandler) OnOpen(k *transport.Link, nonce [16]byte) {
	loopOf(k.Loop()).greet(k, nonce)
}

// OnPacket implements transport.Handler.
func (g *transportHandler) OnPacket(k *transport.Link, pk codec.Packet, a transport.Arrival) {
	l := loopOf(k.Loop())
	switch v := k.Value.(type) {
	case *Player:
		l.receive(v, pk, a)
	case *opening:
		l.opened(k, v, pk)
	}
	// nil: the link of an earlier epoch. What it still says is fenced off.
}

// OnWritable implements transport.Handler.
func (g *transportHandler) OnWritable(k *transport.Link) {
	if p, ok := k.Value.(*Player); ok {
		loopOf(k.Loop()).touch(p)
	}
}

// OnMigrate implements transport.Handler.
func (g *transportHandler) OnMigrate(k *transport.Link, from netip.AddrPort) {
	if p, ok := k.Value.(*Player); ok {
		loopOf(k.Loop()).srv.log.Debug("address changed", "session", p.ID(), "user", p.label(), "from", from, "to", k.RemoteAddr())
	}
}

// OnClose implements transport.Handler.
func (g *transportHandler) OnClose(k *transport.Link, err error) {
	l := loopOf(k.Loop())
	switch v := k.Value.(type) {
	case *Player:
		if v.closing {
			l.finishClosing(v)
			break
		}
		l.srv.log.Debug("link lost", "session", v.ID(), "user", v.label(), "error", err)
		l.srv.lost(v, lostClosed)
		l.detach(v)
	case *opening:
		v.link = nil
	case *migration:
		v.link = nil
	}
	k.Value = nil
}

// OnTimer implements transport.Handler.
func (g *transportHandler) OnTimer(t *transport.Loop) {
	l := loopOf(t)
	now := t.Now()
	l.wheel.Advance(now, l.visit)
	l.housekeeping(now)
	for len(l.openings) > 0 && l.openings[0].deadline <= now {
		o := l.openings[0]
		l.openings[0] = nil
		l.openings = l.openings[1:]
		switch k := o.link; {
		case o.over():
		case o.waiting || !o.late && t.Lateness() > 0: // for us, not for the client
			o.late = o.late || !o.waiting
			o.deadline = now + l.srv.cfg.Session.OpeningTimeout
			l.openings = append(l.openings, o)
		default:
			l.srv.count.openingTimeouts.Add(1)
			endLink(k, Reason{Code: session.OpeningTimeout})
		}
	}
	if len(l.openings) == 0 {
		l.openings = nil // what a rush has left behind
	}
}

// OnBatch implements transport.Handler.
func (g *transportHandler) OnBatch(t *transport.Loop) {
	l := loopOf(t)
	waits := len(l.dirty) > 0 && !l.srv.mayAct()
	if !waits {
		l.writeDirty()
	}
	l.srv.budget.ReturnShare(&l.shard.Share, l.shard.Pool.Held())
	next := l.wheel.Next()
	if waits {
		next = min(next, t.Now()+leaseTick)
	}
	if len(l.openings) > 0 {
		next = min(next, l.openings[0].deadline)
	}
	t.WakeAt(next)
}

// writeDirty writes what there is to be written.
func (l *loop) writeDirty() {
	for i := 0; i < len(l.dirty); i++ {
		p := l.dirty[i]
		l.dirty[i] = nil
		if p.owner.Load() == l { // else it has moved on since it was touched
			p.dirty = false
			l.write(p)
		}
	}
	l.dirty = l.dirty[:0]
}

// touch notes that p may have something to write at the end of the batch.
func (l *loop) touch(p *Player) {
	if !p.dirty && p.link != nil {
		p.dirty = true
		l.dirty = append(l.dirty, p)
	}
}

func (l *loop) write(p *Player) {
	if p.link == nil {
		return
	}
	if p.link.Carrier() == transport.KCP {
		if l.buf = p.s.OutputDatagram(l.buf[:0], p.s.Epoch(), l.t.Now()); len(l.buf) > 0 {
			p.link.WriteDatagram(l.buf)
		}
	}
	l.buf = p.s.Output(l.buf[:0], p.s.Epoch(), l.t.Now(), p.link.Available())
	if len(l.buf) > 0 {
		p.link.Write(l.buf)
	}
	switch p.link.Carrier() { // of others it asks the kernel
	case transport.PlainKCP, transport.KCP:
		p.measure()
	}
	if p.closing && !p.s.Unwritten() {
		l.finishClosing(p)
	}
}

// receive takes a packet for an open session. A panic in here leaves a session
// in an unknown state: it ends.
func (l *loop) receive(p *Player, pk codec.Packet, a transport.Arrival) {
	defer func() {
		if r := recover(); r != nil {
			p.panicked("receive", r)
		}
	}()
	if pk.Kind.Counted() && !p.closing && (!p.inboxFits(len(pk.Body), 4) || !l.srv.mayAct()) {
		// Not accepted, hence not counted: the client sends it again after it
		// has come back.
		l.srv.count.overloads.Add(1)
		l.cut(p, session.Overloaded)
		return
	}
	take := p.s.Receive
	if a.Datagram {
		take = p.s.ReceiveDatagram
	}
	ev, err := take(p.s.Epoch(), pk, l.t.Now())
	p.publishQueued()
	if p.closing {
		l.receiveClosing(p, ev, err)
		return
	}
	if err != nil {
		l.misbehaved(p, err)
		return
	}
	l.confirmLogin(p)
	if !l.withinRate(p, pk, ev == session.Deliver) {
		return
	}
	switch ev {
	case session.Deliver:
		// The last quarter of the inbox is for what was on its way when the
		// client was asked to wait. Nobody asks a datagram to wait.
		if pk.Kind.Counted() || p.inboxFits(len(pk.Body), 3) {
			l.deliver(p, pk, a.Number)
		}
	case session.PeerDetach:
		l.srv.lost(p, lostAway)
		l.cut(p, session.LinkLost)
	case session.PeerBye:
		l.end(p, Reason{Code: session.Left})
	}
	if p.s.Wants() {
		l.touch(p)
	}
}

// withinRate charges p for a packet and reports whether to go on with it. The bytes
// are charged whatever they are, a heartbeat or what came before; the message
// only if it is one to deliver. A player that is ahead of Config.Rate by its
// burst has its requests refused and its datagrams dropped; messages are promised
// to arrive, so they do, until it is ahead by twice as much and the session ends.
func (l *loop) withinRate(p *Player, pk codec.Packet, deliver bool) bool {
	messages := 0
	if deliver {
		messages = 1
	}
	rate := &l.srv.cfg.Rate
	switch p.debt.charge(rate, rate.cost(messages, int64(len(pk.Body))), l.t.Now()) {
	case farOverRate:
		l.srv.log.Warn("far too many messages", "session", p.ID(), "user", p.label())
		l.end(p, Reason{Code: session.Policy, Text: "too many messages"})
		return false
	case overRate:
		if !deliver {
			return true
		}
		switch pk.Kind {
		case codec.Datagram:
			l.srv.count.rateLimited.Add(1)
			return false
		case codec.Request:
			id, _, _, err := codec.ParseRequest(pk.Body)
			if err == nil { // else deliver says what is wrong
				l.srv.count.rateLimited.Add(1)
				l.reject(p, "", pk.Kind, id, codec.ErrorBusy, "too many messages")
			}
			return err != nil
		}
	}
	return true
}

// confirmLogin takes note that the client had its WELCOME.
func (l *loop) confirmLogin(p *Player) {
	if p.hello != nil {
		l.srv.mu.Lock()
		l.srv.confirmLoginLocked(p)
		l.srv.mu.Unlock()
		if l.srv.movable() {
			p.wakeLoop() // it may wait for this to move
		}
	}
}

// confirmLoginLocked makes the table forget the login of p. The caller holds s.mu and
// is on p's loop.
func (s *Server) confirmLoginLocked(p *Player) {
	if p.hello != nil {
		s.table.ForgetOpening(*p.hello)
		p.hello = nil
	}
}

func (l *loop) misbehaved(p *Player, err error) {
	l.srv.count.protocolErrors.Add(1)
	p.logLimited(slog.LevelInfo, "link cut", "error", err)
	switch {
	case errors.Is(err, session.ErrFlood):
		l.end(p, Reason{Code: session.Policy, Text: "too many pings"})
	case errors.Is(err, session.ErrGap):
		l.cut(p, session.Gap)
	default:
		l.cut(p, session.Protocol)
	}
}

// endLink ends a link with a BYE. Nothing that still comes on it is heard.
func endLink(k *transport.Link, why Reason) {
	sayBye(k, why)
	k.FinishStatus(wsStatus(why.Code))
}

// endOldLink ends the link before a resume. The client has left it: only another holder
// of the token may still be there.
func endOldLink(k *transport.Link) {
	sayBye(k, Reason{Code: session.TakenOver})
	k.FinishLeft(wsStatus(session.TakenOver))
}

func sayBye(k *transport.Link, why Reason) {
	k.Value = nil
	k.Write(session.AppendBye(nil, why.closeError()))
}

// wsStatus is how the close frame of a WebSocket says a code: transport/SPEC 7.6.
func wsStatus(why session.Code) uint16 { return uint16(4000 + min(why, 999)) }

// cut ends the link with a word of why; the session waits for its player.
func (l *loop) cut(p *Player, why session.Code) {
	if k := p.link; k != nil {
		l.srv.count.cuts.add(why)
		if why != session.LinkLost { // which is counted as away
			l.srv.observeLost(p, CodeName(why))
		}
		endLink(k, Reason{Code: why})
		l.detach(p)
	}
}

// unlink takes the link from p, which may have none.
func (l *loop) unlink(p *Player) *transport.Link {
	k := p.link
	if k != nil {
		p.link = nil
		delete(l.newest, k)
		l.srv.count.attached[k.Carrier()].Add(-1)
	}
	return k
}

// detach takes note that p's link is gone.
func (l *loop) detach(p *Player) {
	l.unlink(p)
	if !p.s.Detach(p.s.Epoch(), l.t.Now()) {
		return
	}
	l.wheel.Set(p.timer, p.due(l.t.Now()))
	p.mu.Lock()
	p.life.Detach()
	p.mu.Unlock()
	p.schedule()
	if p.hello != nil {
		p.wakeLoop() // it may have waited to be heard, to move
	}
}

// visit is the wheel's: a deadline of p has come.
func (l *loop) visit(p *Player, late time.Duration) time.Duration {
	if p.closing {
		l.finishClosing(p)
		return session.Never
	}
	now := l.t.Now()
	p.debt.settle(&l.srv.cfg.Rate, now)
	l.endSlowdown(p)
	if p.link != nil {
		p.s.Saw(p.link.LastReceive())
		queued, _ := p.s.Queued()
		l.seen.observe(p.measure(), queued)
	}
	switch p.s.Check(now, late) {
	case session.Probe:
		l.touch(p)
	case session.Dead:
		k := p.link
		k.Value = nil
		l.srv.lost(p, lostTimeout)
		k.Close(&session.CloseError{Code: session.LinkLost, Text: "nothing came back in time"})
		l.detach(p)
	case session.Lapsed:
		l.end(p, Reason{Code: session.Expired})
		return session.Never
	case session.Aged:
		l.end(p, Reason{Code: session.TooOld})
		return session.Never
	}
	return p.due(now)
}

// recordEnd counts the end of a session, and leaves a tombstone in its place.
func (l *loop) recordEnd(p *Player, stone session.Tombstone, why Reason) {
	s := l.srv
	stone.Code, stone.Detail, stone.Recv = why.Code, why.Detail, p.s.Received()
	s.observeClosed(p, why)
	s.count.ended.Add(1)
	s.count.closes.add(stone.Code)
	if stone.Code != session.Moved { // its client asks here where it went
		l.t.EndKey(p.s.ID())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmLoginLocked(p)
	s.table.Remove(p.s.ID(), p.user, stone, l.t.Now())
	if !p.migrating() { // else OnClose has returned already
		s.awaitCloseLocked(p)
	}
}

// onWake does what p was woken for: it takes over what was sent, ends p, or lets it go on.
func (l *loop) onWake(p *Player) {
	p.woken.Store(false)
	l.drainOut(p)
	p.mu.Lock()
	going, slowed := p.drains, p.slowed
	var kick *Reason
	if p.extra != nil {
		kick = p.extra.kick
	}
	holding := p.in.Holding() || going
	unheard := p.hello != nil && (p.seats.moves() || p.mustBeHeardLocked() && p.link != nil)
	if p.migrating() {
		p.reason = kick // what OnClose is told, if it has not been yet
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	switch {
	case kick == nil:
	case kick.Code == session.Moved && l.srv.movable() && !p.hasEnded() && unheard:
		// confirmLogin wakes again, or detach: a client that was never heard would have to log in anew
		if holding = true; p.link != nil && p.s.Answered() {
			p.s.Settle()
		}
	case kick.Code == session.Moved && l.srv.movable() && !p.hasEnded():
		l.migrate(p, kick.Text)
		return
	default:
		l.end(p, *kick)
	}
	if p.hasEnded() {
		return // it has no deadline that could be set
	}
	if slowed {
		l.wheel.Set(p.timer, p.due(l.t.Now()))
	}
	p.s.Hold(holding)
	l.tune(p)
	if going {
		l.quiesce(p)
	}
	l.touch(p)
}

// drainOut moves what other goroutines have sent into the session.
func (l *loop) drainOut(p *Player) {
	p.mu.Lock()
	p.queued.Add(uint64(p.out.Len())<<32 | uint64(p.out.Size())) // on its way from one to the other
	out, fate := p.out.Take()
	run := p.extra.appRun()
	if fate != mailbox.Kept { // and out is empty; Push goes on saying so
		p.extraLocked().over.Refuse()
	}
	p.mu.Unlock()
	if fate != mailbox.Kept {
		if !p.s.Overflowed() {
			p.s.Overflow(l.t.Now())
			l.overflowed(p, fate == mailbox.OverBudget)
		}
		p.publishQueued()
		return
	}
	for m := out.Pop(); m != nil; m = out.Pop() {
		l.shard.Share += m.Cost()                // it was taken from the budget with the message
		if !m.IsAnswer() || m.Asked.Run == run { // else the app that asked is no more
			l.forward(p, m)
		}
		m.Free()
	}
	p.publishQueued()
}

// send appends a packet to the session's outbound buffer.
func (l *loop) send(p *Player, kind codec.Kind, body []byte, shared bool) {
	before := p.s.Overflowed()
	err := p.s.Send(kind, body, shared, l.t.Now())
	if (err == session.ErrOverflow || err == session.ErrOverBudget) && !before {
		l.overflowed(p, err == session.ErrOverBudget)
	}
}

// onLoop is a function as a task.
type onLoop func()

// Run implements transport.Task.
func (f onLoop) Run(*transport.Loop) { f() }

// rttOnLoop is the round trip as well as it is known. Called on the owning loop.
func (p *Player) rttOnLoop() time.Duration {
	if k := p.link; k != nil {
		if rtt := k.RTT(); rtt > 0 {
			return rtt
		}
	}
	return p.s.RTT()
}

// tune takes over a profile that was set. Called on the owning loop.
func (l *loop) tune(p *Player) {
	p.mu.Lock()
	var f *HeartbeatProfile
	if p.extra != nil {
		f, p.extra.heartbeat = p.extra.heartbeat, nil
	}
	p.mu.Unlock()
	if f != nil && p.s.Tune(f.Interval, f.Timeout) == nil {
		l.wheel.Set(p.timer, p.due(l.t.Now()))
	}
}
