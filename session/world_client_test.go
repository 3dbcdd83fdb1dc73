// SPDX-License-Identifier: MIT

package session

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

func (p *player) check() {
	w := p.w
	if p.asleep || p.throttle > 0 && !p.woken && w.now < p.throttled {
		return
	}
	p.woken, p.throttled = false, w.now+p.throttle
	if l := p.link; l != nil && l.closed && !l.cut && w.now >= l.byeBy && len(l.up[toClient].chunks) == 0 {
		p.link = nil
		p.c.LinkDown(p.now())
	}
	switch p.c.Check(p.now(), w.wall) {
	case Cut:
		p.drop()
		p.check()
		return
	case Dial:
		p.dials++
		switch {
		case p.noDial:
		case p.refuse:
			p.c.LinkDown(p.now())
		default:
			p.dial()
		}
	}
	p.learn()
}

// learn takes what the client tells its app.
func (p *player) learn() {
	for _, ch := range p.c.Changes() {
		p.changes = append(p.changes, ch.Kind)
		if ch.Err != nil {
			p.last = ch.Err
		}
		switch ch.Kind {
		case Opened:
			p.refused = append(p.refused, ch.Undelivered...)
		case WasReset:
			if ch.Err.Code != Overflow && !p.stored {
				p.w.t.Fatalf("%s: RESET although nothing overflowed: %v", p.user, ch.Err)
			}
			p.got, p.reset = nil, p.c.epoch // the snapshot starts a new stream
		case Ending:
			p.ended(ch)
		}
	}
}

// ended holds the end of an incarnation against what the server saw of it:
// what it accepted and what the client reports as undelivered are all that was
// sent, and where the server told its final count nothing is in both.
func (p *player) ended(ch Change) {
	p.lost = nil
	if p.w.fault.forgetLost && len(ch.Undelivered) > 0 {
		ch.Undelivered = ch.Undelivered[1:]
	}
	for _, u := range ch.Undelivered {
		p.lost = append(p.lost, u.Body)
	}
	if st := p.seat; st != nil {
		both := len(st.got) + len(p.lost)
		if both < int(p.sent) || ch.Err.Code == Gone && both != int(p.sent) {
			p.w.t.Fatalf("%s: %d sent, %d accepted, %d reported undelivered, %v", p.user, p.sent, len(st.got), len(p.lost), ch.Err)
		}
		p.w.ends++
	}
	p.seat, p.sent, p.got, p.reset = nil, 0, nil, 0
}

// drop closes the client's socket: the server sees it unless the link is cut.
func (p *player) drop() {
	l := p.link
	if l == nil {
		return
	}
	l.write(toServer, p.c.Output(nil, p.now(), 1<<30))
	p.link = nil
	if l.cut || l.closed {
		return
	}
	l.deliverAll(toServer)
	l.closeByServer(LinkLost)
}

func (l *link) deliverAll(dir int) {
	for i := range l.up[dir].chunks {
		l.up[dir].chunks[i].at = l.w.now
	}
	l.deliver(dir)
}

func (p *player) dial() {
	w := p.w
	l := &link{w: w, p: p, opened: w.now}
	_, _ = w.Read(l.nonce[:])
	p.link = l
	w.links = append(w.links, l)
	if w.onLink != nil {
		w.onLink(l)
	}
	p.c.LinkUp(p.now(), w.wall, p.knock)
	if !p.knock {
		l.write(toClient, AppendGreeting(nil, l.nonce))
	}
}

// forge opens a link without a client behind it: the test writes what it likes.
func (w *world) forge() *link {
	l := &link{w: w, p: &player{w: w, user: "forged", forged: true}, opened: w.now}
	_, _ = w.Read(l.nonce[:])
	l.p.link = l
	w.links = append(w.links, l)
	return l
}

// ask writes a RESUME on a forged link and returns the answer.
func (l *link) ask(r ResumeRequest, key Key) codec.Packet {
	l.w.t.Helper()
	r.Proof = r.proof(key, l.nonce)
	n := len(l.p.raw)
	l.write(toServer, r.append(nil))
	l.w.until(time.Second, func() bool { return len(l.p.raw) > n })
	return l.p.raw[n]
}

// refusal returns the code of a REFUSED, and fails on anything else.
func (l *link) refusal(r ResumeRequest, key Key) *CloseError {
	l.w.t.Helper()
	p := l.ask(r, key)
	e, err := ParseEnd(p)
	if p.Kind != codec.Refused || err != nil {
		l.w.t.Fatalf("the answer is %v, %v", p.Kind, err)
	}
	return e
}

func (p *player) receive(pk codec.Packet) {
	if p.forged {
		p.raw = append(p.raw, pk)
		return
	}
	p.woken = true
	deliver, err := p.c.Receive(pk, p.now())
	p.learn()
	if err != nil {
		l := p.link
		p.link = nil
		if !l.cut {
			l.closeByServer(LinkLost)
		}
		p.c.LinkDown(p.now())
		return
	}
	if deliver {
		p.got = append(p.got, numberIn(pk.Body))
	}
}

// send sends the next n numbered messages of the client's application.
func (p *player) send(n int) {
	p.w.t.Helper()
	for range n {
		if err := p.c.Send(codec.Message, number(p.sent+1)); err != nil {
			p.w.t.Fatalf("send %d: %v", p.sent+1, err)
		}
		p.sent++
	}
	p.w.flush()
}

// now is the monotonic clock of the player's device, which stands still while
// it sleeps.
func (p *player) now() time.Duration { return p.w.now - p.slept }

// sleep suspends the device.
func (p *player) sleep(d time.Duration) {
	p.w.t.Helper()
	p.asleep = true
	p.w.run(d)
	p.slept += d
	p.asleep = false
	p.w.act()
}

// cut pulls the cable.
func (p *player) cut() {
	if p.link != nil {
		p.link.cutNow()
	}
}

// leave is a client that gives a link up while much is still on its way.
func (p *player) leave() {
	p.link = nil
	p.c.LinkDown(p.now())
}

// lose cuts the link and lets the client notice at once, as a pulled cable on
// its own side would.
func (p *player) lose() {
	p.cut()
	p.link = nil
	p.c.LinkDown(p.now())
}
