// SPDX-License-Identifier: MIT

package load

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/seal"
)

const (
	sealedMTU = seal.MaxDatagram - seal.Overhead - 1 // what a datagram leaves for KCP
	firstTry  = 200 * time.Millisecond               // until a hello is repeated; doubles
	lastTry   = 2 * time.Second
	giveUp    = 5 * time.Second // a handshake that is not answered
)

// seals is what sealed players share: who is behind an answer.
type seals struct {
	key   seal.PublicKey
	hello map[[8]byte]*player    // by the name that a hello bears and its answer repeats
	ids   map[uint32]*player     // by connection id
	out   [seal.MaxDatagram]byte // the datagram that is being made: sealed where it lies
}

func newSeals(key string) (*seals, error) {
	k, err := seal.ParsePublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("load: the server's key: %w", err)
	}
	return &seals{key: k, hello: map[[8]byte]*player{}, ids: map[uint32]*player{}}, nil
}

// sealedLink is a link that is sealed, or about to be.
type sealedLink struct {
	i     *seal.Initiator // nil once it is up
	name  [8]byte
	conn  seal.Conn
	until time.Duration // giving up
	again time.Duration // the next hello
	pause time.Duration
}

func (l *sealedLink) up() bool { return l != nil && l.i == nil }

// shake begins a handshake: with the session's seal key if it has one.
func (f *Fleet) shake(p *player) (err error) {
	l := &sealedLink{until: f.now + giveUp, again: f.now + firstTry, pause: firstTry}
	if id, key, ok := p.session.SealKey(); ok {
		l.i, err = seal.NewResumer(id, key, crand.Reader)
	} else {
		l.i, err = seal.NewInitiator(f.seal.key, crand.Reader)
	}
	if err != nil {
		return err
	}
	copy(l.name[:], l.i.Hello()[32:]) // seal's SPEC: what an answer repeats
	p.sealed = l
	f.seal.hello[l.name] = p
	f.datagram(p, l.i.Hello())
	return nil
}

// shaking reports whether p's link is sealed, and the server has not accepted it yet.
func (f *Fleet) shaking(p *player) bool {
	return p.linked && (f.cfg.Carrier == "kcp" && !p.sealed.up() || f.cfg.Carrier == "stcp" && !p.stcp.up())
}

// shakeDue returns when a handshake is to be repeated, or given up.
func (f *Fleet) shakeDue(p *player) time.Duration {
	if f.streams {
		return p.stcp.until
	}
	return p.sealed.again
}

// shakeAgain repeats the hello, or gives up.
func (f *Fleet) shakeAgain(p *player) {
	l := p.sealed
	if f.streams || f.now >= l.until {
		f.dropped(p, errors.New("load: no answer to the handshake"))
		return
	}
	l.pause = min(2*l.pause, lastTry)
	l.again = f.now + l.pause
	f.datagram(p, l.i.Hello())
}

// unseal forgets p's sealed link.
func (f *Fleet) unseal(p *player) {
	if p.sealed == nil {
		return
	}
	delete(f.seal.hello, p.sealed.name)
	if f.seal.ids[p.sealed.conn.ID()] == p {
		delete(f.seal.ids, p.sealed.conn.ID())
	}
	p.sealed = nil
}

// sealedDatagram takes one datagram of the server.
func (f *Fleet) sealedDatagram(s *socket, b []byte) {
	id, t, ok := seal.Parse(b)
	switch {
	case !ok:
		f.wrong(nil, errors.New("what is no sealed datagram"))
	case id == 0 && len(b) >= 16:
		if p := f.seal.hello[[8]byte(b[8:16])]; p != nil {
			f.accepted(p, b)
		}
	case t == seal.TypeReset: // who forges one is not here
	default:
		p := s.owner
		if p == nil {
			p = f.seal.ids[id] // one server gives each id once
		}
		if p != nil && p.linked && p.sealed.up() && p.sealed.conn.ID() == id {
			f.unsealed(p, b, t)
		}
	}
}

// accepted takes an answer to the handshake.
func (f *Fleet) accepted(p *player, b []byte) {
	l := p.sealed
	a, again, err := l.i.Handle(b)
	if err != nil {
		return // not for this one, or forged
	}
	if again {
		f.datagram(p, l.i.Hello())
	}
	if a == nil {
		return
	}
	delete(f.seal.hello, l.name)
	l.i, l.conn = nil, a.Conn
	f.seal.ids[a.Conn.ID()] = p
	p.kcp.Init(a.Conn.ID(), &f.kcp)
	if len(a.Greeting) != 1 {
		f.lose(p, session.ErrControl)
		return
	}
	p.session.LinkUp(f.now, f.start.Add(f.now), false)
	p.session.Greeted(a.Greeting[0], session.Nonce(a.Nonce), f.now)
	f.check(p)
	f.flush(p)
}

// unsealed takes a datagram of p's link, if it is authentic.
func (f *Fleet) unsealed(p *player, b []byte, t seal.PacketType) {
	o, err := p.sealed.conn.Open(b)
	if err != nil {
		f.wrong(p, err) // no packet is forged here
		return
	}
	p.session.Carried(f.now)
	if t == seal.TypeControl {
		if c, err := seal.ParseControl(o.Plain); err == nil && c.Kind == seal.ControlChallenge {
			f.sealAndSend(p, seal.TypeControl, seal.Control{Kind: seal.ControlResponse, Token: c.Token}.Append(f.seal.head(), 0))
		}
		return
	}
	frames, segments, err := seal.SplitPayload(o.Plain)
	for err == nil && len(frames) > 0 {
		pk, n, wrong := codec.ParseFrame(frames, codec.DefaultMaxBody)
		if wrong != nil || n == 0 {
			f.wrong(p, errors.New("a datagram with half a packet"))
			break
		}
		frames = frames[n:]
		_, err = p.session.ReceiveDatagram(pk, f.now)
	}
	if err != nil {
		f.dropped(p, err)
		return
	}
	f.input(p, segments)
}

// flushSealed sends what p has to say. It returns false when p is gone.
func (f *Fleet) flushSealed(p *player) bool {
	if !p.sealed.up() {
		return true
	}
	beside := p.session.OutputDatagram(nil, f.now)
	f.out = p.session.Output(f.out[:0], f.now, p.kcp.Room())
	if err := p.kcp.Write(f.out); err != nil {
		f.lose(p, err)
		return false
	}
	for {
		b := seal.AppendPayload(f.seal.head(), beside)
		head := len(b)
		b = p.kcp.Output(f.now, b, seal.MaxDatagram-seal.TagSize-head)
		if len(b) == head && len(beside) == 0 {
			break
		}
		beside = nil
		f.sealAndSend(p, seal.TypeSealed, b)
	}
	if err := p.kcp.Err(); err != nil {
		f.dropped(p, err)
		return false
	}
	return true
}

// head is where a datagram begins: the plaintext goes behind it.
func (s *seals) head() []byte { return s.out[:seal.HeaderSize] }

func (f *Fleet) sealAndSend(p *player, t seal.PacketType, b []byte) {
	if b, err := p.sealed.conn.Seal(b, t); err == nil {
		f.datagram(p, b)
	}
}
