// SPDX-License-Identifier: MIT

package session

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

func (l *link) serverReceive(p codec.Packet) {
	w := l.w
	if l.closed && !l.fenced {
		return
	}
	if l.seat == nil {
		l.serverOpening(p)
		return
	}
	st, epoch := l.seat, l.epoch
	if w.fault.noFence {
		epoch = st.s.Epoch()
	}
	acked := st.s.acked
	ev, err := st.s.Receive(epoch, p, w.now)
	if err != nil {
		if st.s.Epoch() == l.epoch && !l.closed {
			if err == ErrFlood {
				st.close(Policy)
			}
			l.closeByServer(Protocol)
		}
		return
	}
	if w.fault.trimTooMany && st.s.acked > acked && st.s.wrote > st.s.acked {
		st.s.trim(&st.s.shard.Pool, st.s.acked+1)
	}
	if w.fault.deliverTwice && ev == Nothing && p.Kind.Counted() {
		ev = Deliver
	}
	l.woken = true
	if st.s.Confirmed() {
		w.srv.table.ForgetOpening(st.key)
	}
	if ev == Deliver && st.link != l {
		w.t.Fatalf("%s: a packet of an old link reached the application", st.user)
	}
	switch ev {
	case Deliver:
		st.deliver(p)
	case PeerDetach:
		l.closeByServer(LinkLost)
	case PeerBye:
		st.close(Left)
	}
}

func (st *seat) deliver(p codec.Packet) {
	_, payload, err := codec.ParseMessage(p.Body)
	var n uint64
	if err == nil {
		err = codec.DecodeBody(payload, &n)
	}
	if err != nil {
		st.srv.w.t.Fatalf("the application got something else: %v", err)
	}
	if st.s.State() == Closed {
		st.srv.w.t.Fatalf("message %d after close", n)
	}
	if st.srv.w.fault.acceptLate && len(st.pending) < 8 {
		st.pending = append(st.pending, p)
		return
	}
	st.got = append(st.got, n)
	if st.onGot != nil {
		st.onGot(n)
	}
}

func (l *link) serverOpening(p codec.Packet) {
	w, srv := l.w, l.w.srv
	switch p.Kind {
	case codec.Heartbeat:
		if l.p.knock && !l.knocked {
			l.knocked = true
			l.write(toClient, AppendGreeting(nil, l.nonce))
		}
	case codec.Hello:
		h, err := ParseHello(p)
		if err != nil || h.Nonce != l.nonce {
			l.closeByServer(Protocol)
			return
		}
		srv.hello(l, h)
	case codec.Resume:
		r, err := ParseResume(p)
		if err != nil {
			l.closeByServer(Protocol)
			return
		}
		if refusal := srv.resume(l, r); refusal != nil {
			l.write(toClient, AppendRefused(nil, refusal))
		} else {
			if l.seat.asked = &p; l.p.forged {
				l.seat.asked = nil
			}
			w.resumes++
		}
	default:
		l.closeByServer(Protocol)
	}
}

func (srv *server) hello(l *link, h *HelloRequest) {
	w := srv.w
	key := h.OpeningKey()
	if srv.table.RecordAttempt(key, h.Attempt, w.now) {
		l.write(toClient, AppendRefused(nil, &CloseError{Code: Stale}))
		return
	}
	if st, ok := srv.table.Opening(key); ok {
		if old := st.link; old != nil {
			old.fence()
		}
		detached := st.s.State() == Detached
		if st.s.Reopen(w.now) {
			st.sent = 0
		}
		st.bind(l)
		l.write(toClient, st.s.AppendWelcome(nil, srv.keys.Of(st.s.ID()), Key{}, nil))
		if detached {
			st.hook("resume")
		}
		return
	}
	srv.logins++
	user := string(h.Ticket)
	var how policy
	if olds := srv.table.User(user); len(olds) > 0 && w.loginBy != nil {
		old := olds[len(olds)-1]
		how = w.loginBy(user, old)
		switch how {
		case replace:
			old.close(TakenOver)
		case reject:
			l.write(toClient, AppendRefused(nil, &CloseError{Code: Denied}))
			return
		case adopt:
			srv.adopt(l, old, key)
			return
		}
	}
	id, _ := NewID(1, srv.boot, w)
	st := &seat{srv: srv, user: user, key: key}
	st.s.Open(&srv.shard, id, w.now)
	srv.table.Put(id, user, st)
	srv.table.SetOpening(key, st)
	st.handle = srv.wheel.Add(st, st.s.Due())
	st.bind(l)
	l.write(toClient, st.s.AppendWelcome(nil, srv.keys.Of(id), Key{}, nil))
	st.hook("open") // what it sends comes behind WELCOME
}

func (srv *server) adopt(l *link, st *seat, key OpeningKey) {
	if st.link != nil {
		st.hook("detach")
		st.link.fence()
	}
	srv.table.ForgetOpening(st.key)
	st.key = key
	srv.table.SetOpening(key, st)
	old := st.s.ID()
	id, _ := NewID(1, srv.boot, srv.w)
	st.s.Rename(id)
	srv.table.Remove(old, st.user, Tombstone{Code: TakenOver, Recv: st.s.Received()}, srv.w.now)
	srv.table.Put(id, st.user, st)
	st.s.Takeover(srv.w.now)
	for _, p := range srv.w.players {
		if p.seat == st {
			p.seat = nil
		}
	}
	st.sent, st.got = 0, nil // the new app numbers its messages anew
	st.bind(l)
	l.write(toClient, st.s.AppendWelcome(nil, srv.keys.Of(st.s.ID()), Key{}, nil))
	st.hook("resume")
}

func (srv *server) resume(l *link, r *ResumeRequest) *CloseError {
	w := srv.w
	if st, ok := srv.table.Get(r.ID); ok && w.fault.verifyLate && st.link != nil && st.link != l {
		st.link.closeByServer(TakenOver)
	}
	if !srv.keys.Verify(r, l.nonce) {
		return &CloseError{Code: Unknown}
	}
	st, ok := srv.table.Get(r.ID)
	if !ok {
		if stone, ok := srv.table.Tombstone(r.ID, w.now); ok {
			return stone.Refusal()
		}
		return &CloseError{Code: Unknown}
	}
	attached, old := st.s.State() == Attached, st.link
	if w.fault.zeroAtResume {
		st.s.recv = w.cfg.first
	}
	answer, reset, refusal := st.s.Resume(nil, r, w.now)
	if refusal != nil {
		if refusal.Code == Inconsistent {
			st.close(Inconsistent)
		}
		return refusal
	}
	if attached || w.fault.detachTwice {
		st.hook("detach")
		if old != nil && old != l {
			old.fence()
		}
	}
	srv.table.ForgetOpening(st.key)
	st.pending = nil
	if st.s.Spent() {
		st.close(Overflow)
		return &CloseError{Code: Overflow}
	}
	st.bind(l)
	if reset {
		st.sent = 0
		st.reset = st.s.Epoch()
	}
	l.write(toClient, answer)
	st.hook("resume") // what it sends comes behind the answer
	if reset {
		st.hook("reset")
	}
	return nil
}

// fence ends the link of an epoch that is over.
func (l *link) fence() {
	l.write(toClient, AppendBye(nil, &CloseError{Code: TakenOver}))
	l.closed, l.fenced = true, true
	l.byeBy = l.arrival()
}

func (st *seat) bind(l *link) {
	st.link, l.seat, l.epoch, l.woken = l, st, st.s.Epoch(), true
	l.p.seat = st
	if !st.srv.w.fault.keepOldTimer {
		st.srv.wheel.Set(st.handle, st.s.Due())
	}
}

// wake says that the session has something to write.
func (st *seat) wake() {
	w := st.srv.w
	if w.fault.loseWakeUp && w.rng.IntN(8) == 0 {
		return
	}
	if st.link != nil {
		st.link.woken = true
	}
}

func (st *seat) hold(on bool) {
	st.s.Hold(on)
	st.wake()
	st.srv.w.flush()
}

func (st *seat) tune(interval, timeout time.Duration) {
	if err := st.s.Tune(interval, timeout); err != nil {
		st.srv.w.t.Fatal(err)
	}
	st.srv.wheel.Set(st.handle, st.s.Due())
	st.wake()
	st.srv.w.flush()
}

func (st *seat) hook(what string) {
	st.hooks = append(st.hooks, what)
	st.srv.hooks = append(st.srv.hooks, st.user+" "+what)
	if st.onHook != nil {
		st.onHook(what)
	}
}

func (st *seat) detach(l *link) {
	if st.s.Detach(l.epoch, st.srv.w.now) {
		st.link, st.pending = nil, nil
		st.hook("detach")
		st.srv.wheel.Set(st.handle, st.s.Due())
	}
}

func (st *seat) close(code Code) {
	if !st.s.Close(code) {
		return
	}
	srv := st.srv
	if !srv.w.fault.keepTimerOfDead {
		srv.wheel.Remove(st.handle)
	}
	srv.table.ForgetOpening(st.key)
	if !srv.w.fault.keepDead {
		srv.table.Remove(st.s.ID(), st.user, Tombstone{Code: code, Recv: st.s.Received()}, srv.w.now)
	}
	if l := st.link; l != nil {
		st.link = nil
		l.write(toClient, AppendBye(nil, &CloseError{Code: code}))
		l.closed = true
		l.byeBy = l.arrival()
	}
	st.hook("close")
}

func (srv *server) visit(st *seat, late time.Duration) time.Duration {
	now := srv.w.now
	if l := st.link; l != nil && l.unread && len(l.up[toServer].chunks) > 0 {
		st.s.Saw(now) // who does not read has no right to complain of silence
	}
	switch st.s.Check(now, late) {
	case Probe:
		st.wake()
	case Dead:
		l := st.link
		l.closed = true
		st.detach(l)
	case Lapsed:
		st.close(Expired)
		return Never
	case Aged:
		st.close(TooOld)
		return Never
	}
	return st.s.Due()
}

// push sends the next numbered message of the server's application.
func (st *seat) push(n int) error {
	for range n {
		if err := st.s.Send(codec.Message, number(st.sent+1), false, st.srv.w.now); err != nil {
			if err == ErrOverflow && st.link != nil {
				st.link.closeByServer(SlowReader)
			}
			return err
		}
		st.sent++
	}
	st.wake()
	st.srv.w.flush()
	return nil
}

func number(n uint64) []byte {
	payload, err := codec.AppendBody(nil, n)
	if err != nil {
		panic(err)
	}
	return codec.AppendMessage(nil, codec.NumberedRoute(1), payload)
}

func numberIn(body []byte) (n uint64) {
	_, payload, err := codec.ParseMessage(body)
	if err == nil {
		err = codec.DecodeBody(payload, &n)
	}
	if err != nil {
		panic(err)
	}
	return n
}
