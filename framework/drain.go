// SPDX-License-Identifier: MIT

package framework

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// A server that drains: session/SPEC 14.1. Each player has a turn. When it has
// come, the client is asked to hold and to answer once more, what it has sent
// is handled, the room is left, and what was sent to it is acknowledged; only
// then the session ends, so that nothing is lost in either direction. With
// Config.Store there is no need to wait: the session moves with all it has.

// Shutdown refuses new players, tells rooms (see ShutdownHandler) and clients, lets
// each player go when its turn has come (see Drain) and nothing is on its way
// any more, waits until every OnClose has returned, and stops the loops. Shortly
// before ctx ends, or at once if it is cancelled, the players that are left are let
// go as they are. Not to be called by a hook or a handler, nor by a callback of a room: it
// would wait for that.
func (s *Server) Shutdown(ctx context.Context) error { return s.shutdown(ctx, 0) }

// shutdown is Shutdown. If spare is not 0 it ends so long after Drain.Window, too, or after the
// last room has played on.
func (s *Server) shutdown(ctx context.Context, spare time.Duration) error {
	t := s.t.Load()
	if t == nil && s.stage.Load() == started {
		return errors.New("framework: Shutdown before Start has returned")
	}
	s.stage.Store(over)
	if t == nil {
		return s.stopRooms(ctx) // never started, and rooms may have been opened
	}
	patient, hurry := untilForced(ctx)
	defer hurry()
	bound := drainBound{spare: spare, end: clock().Add(s.cfg.Drain.Window + spare), hurry: hurry}
	s.mu.Lock()
	s.draining, s.drainCtx, s.drainEnd = true, patient, clock().Add(s.cfg.Drain.Window)
	s.mu.Unlock()
	if s.cfg.Cluster != nil {
		s.cfg.Cluster.Drain()
	}
	s.notifyRooms(ctx)
	s.endEmptyRooms()
	left := s.planDrain()
	err := s.drain(ctx, patient, left, waited(&s.closed), &bound)
	ctx, cancel := bound.rest(ctx)
	defer cancel()
	if err == nil {
		s.awaitLinksClosed(ctx, t)
	}
	// Rooms first: another server may make those of a server that has left.
	err = errors.Join(err, s.stopRooms(ctx), s.leave(ctx), t.Stop(ctx))
	if n := s.drainedRooms(); n > 0 {
		s.log.Info("rooms have ended with the server", "rooms", n)
	}
	if s.admin != nil {
		s.admin.Close() // last, so that it can be watched
	}
	return err
}

// notifyWait bounds how long Shutdown waits for every OnShutdown.
const notifyWait = time.Second

// notifyRooms lets the game prepare, and say which rooms play on.
func (s *Server) notifyRooms(ctx context.Context) {
	var told sync.WaitGroup
	for _, r := range s.roomList() {
		told.Add(1)
		ok := r.post(func() {
			defer told.Done()
			r.tellShutdown(s.cfg.Drain.Window)
		}, unbounded)
		if !ok {
			told.Done()
		}
	}
	soon, cancel := context.WithTimeout(ctx, notifyWait)
	defer cancel()
	select {
	case <-waited(&told):
	case <-soon.Done():
	}
}

// waited returns what is closed once all of g are done.
func waited(g *sync.WaitGroup) <-chan struct{} {
	all := make(chan struct{})
	go func() { // ends with the last of g
		g.Wait()
		close(all)
	}()
	return all
}

// drainsWithin returns how long the turns of the players go on, and whether the server drains.
func (s *Server) drainsWithin() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.drainEnd.Sub(clock()), 0), s.draining
}

// byID orders sessions: by chance, and alike in each run of a test.
func byID(x, y session.ID) int { return bytes.Compare(x[:], y[:]) }

// planDrain gives every player a turn, in that order, and tells its client. A
// detached player has the whole window to come back.
func (s *Server) planDrain() []*Player {
	players, now, window := s.players(), clock(), s.cfg.Drain.Window
	slices.SortFunc(players, func(a, b *Player) int { return byID(a.ID(), b.ID()) })
	turns := s.turnsOf(players, window)
	for i, p := range players {
		p.mu.Lock()
		at := window
		if p.life.Attached() {
			at = turns[i]
		}
		p.extraLocked().drainTurn = &drainTurn{at: now.Add(at)}
		p.mu.Unlock()
	}
	slices.SortStableFunc(players, func(a, b *Player) int { return a.turn().Compare(b.turn()) })
	s.mu.Lock()
	loops := slices.Clone(s.loops)
	s.mu.Unlock()
	for _, l := range loops {
		// Who moves to another loop meanwhile is told when it lands there.
		_ = l.t.Post(onLoop(func() {
			for _, p := range players {
				if p.owner.Load() == l {
					l.announce(p)
				}
			}
		}))
	}
	return slices.Clone(players) // theirs may still be read
}

// turn is when p is let go.
func (p *Player) turn() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.extra.drainTurn.at
}

// untilForced returns a context that ends when a Shutdown waits no more.
func untilForced(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, end.Add(-min(forceBefore, end.Sub(clock())/4)))
	}
	return context.WithCancel(ctx)
}

// drainBound ends a drain that Run has begun. Owned by the goroutine of Shutdown.
type drainBound struct {
	spare time.Duration      // 0: the context alone ends it
	end   time.Time          // after Drain.Window, or after the last room has played on
	hurry context.CancelFunc // shortly before, the players go as they are
	over  func()
}

// look is called with the time now, and whether a room plays on.
func (b *drainBound) look(now time.Time, plays bool) {
	if end := now.Add(b.spare); plays && end.After(b.end) {
		b.end = end
	}
	if b.spare > 0 && !now.Before(b.end.Add(-forceBefore)) {
		b.hurry()
	}
	if b.spare > 0 && !now.Before(b.end) {
		b.over()
	}
}

// rest returns the context of what follows the drain.
func (b *drainBound) rest(ctx context.Context) (context.Context, context.CancelFunc) {
	if b.spare == 0 {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, b.end)
}

// drain lets the players go, the first one first, until all have ended. When patient ends
// it lets all go that are left.
func (s *Server) drain(ctx, patient context.Context, left []*Player, done <-chan struct{}, bound *drainBound) error {
	ctx, over := context.WithCancelCause(ctx)
	bound.over = func() { over(context.DeadlineExceeded) }
	defer bound.over()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		now := clock()
		if patient.Err() != nil {
			s.letAllGo()
			left = nil
		}
		plays := false
		left, plays = s.drainDue(left, now)
		bound.look(now, plays)
		select {
		case <-done:
			return nil
		case <-tick.C:
		case <-ctx.Done():
			s.letAllGo()
			select {
			case <-done: // there was nothing to wait for
				return nil
			case <-time.After(drainTick): // what finds that out had its time
				return fmt.Errorf("framework: shutdown left sessions behind%s%s: %w", s.watch.Busy(), s.waitsForLease(), context.Cause(ctx))
			}
		}
	}
}

// letAllGo ends the sessions that are not on their way to another server.
func (s *Server) letAllGo() {
	for _, p := range s.players() {
		p.mu.Lock()
		gone := p.life.Ending()
		p.mu.Unlock()
		if !gone {
			p.dismiss(Reason{Code: session.ShuttingDown})
		}
	}
}

// drainDue lets the players go whose turn has come and returns the others, and whether a room
// plays on.
func (s *Server) drainDue(left []*Player, now time.Time) (rest []*Player, playing bool) {
	rest = left[:0]
	for i, p := range left {
		at := p.turn()
		if at.After(now) {
			rest = append(rest, left[i:]...) // and so are all behind it
			break
		}
		p.mu.Lock()
		gone, plays := p.life.Ending(), p.seats.playsOn().After(now)
		if plays {
			p.extra.drainTurn.at = now // at the earliest
		}
		p.drains = !plays
		p.mu.Unlock()
		switch {
		case gone:
			continue
		case plays:
			rest, playing = append(rest, p), true
			continue
		case s.movable():
			p.sendAway()
			continue
		case now.Sub(at) > s.cfg.Session.Timeout:
			p.dismiss(Reason{Code: session.ShuttingDown}) // it does not come to rest
			continue
		}
		p.wakeLoop()
		rest = append(rest, p)
	}
	clear(left[len(rest):])
	return rest, playing
}

// waitsForLease says so where no hook may run, as the directory of the cluster is away.
func (s *Server) waitsForLease() string {
	if s.mayAct() {
		return ""
	}
	return ": paused, the server can't renew its lease in the cluster"
}

// awaitLinksClosed waits until the links are closed, so that each has sent its last packets.
func (s *Server) awaitLinksClosed(ctx context.Context, t *transport.Transport) {
	wait := linksCloseTime
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, end.Sub(clock())*3/4) // loops and rooms have to end as well
	}
	for end := clock().Add(wait); clock().Before(end) && ctx.Err() == nil; {
		open := int64(0)
		for _, c := range t.Stats().Carriers {
			open += c.Open
		}
		if open == 0 {
			return
		}
		time.Sleep(drainTick / 5)
	}
}

// stopRooms waits until every room has ended: their members have left by then.
func (s *Server) stopRooms(ctx context.Context) error {
	for _, k := range s.kinds {
		k.mu.Lock()
		k.plan.Ending()
		k.mu.Unlock()
	}
	for _, r := range s.roomList() {
		r.endDeserted()
		r.closeEmpty(Reason{Code: session.ShuttingDown})
	}
	select {
	case <-waited(&s.running):
	case <-ctx.Done():
		if n := s.watch.Rooms(); n > 0 {
			return fmt.Errorf("framework: %d rooms are still busy%s: %w", n, s.watch.Busy(), ctx.Err())
		}
	}
	return nil
}

// drainedRooms returns how many rooms Shutdown has ended that would have gone on.
func (s *Server) drainedRooms() (n uint64) {
	for _, k := range s.kinds {
		n += k.drained.Load()
	}
	return n
}
