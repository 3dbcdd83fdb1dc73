// SPDX-License-Identifier: MIT

package load

import (
	crand "crypto/rand"
	"errors"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// sealedStream is a player's end of sealed TCP.
type sealedStream struct {
	i     *seal.StreamInitiator // nil once it is up
	until time.Duration         // giving up
	s     seal.Stream
	part  []byte // of a record, or of the answer to the hello
}

func (l *sealedStream) up() bool { return l.i == nil }

// shakeStream begins a handshake: with the session's seal key if it has one.
func (f *Fleet) shakeStream(p *player) (err error) {
	l := &p.stcp
	*l = sealedStream{part: l.part[:0], until: f.now + giveUp}
	if id, key, ok := p.session.SealKey(); ok {
		l.i, err = seal.NewStreamResumer(id, key, crand.Reader)
	} else {
		l.i, err = seal.NewStreamInitiator(f.seal.key, crand.Reader)
	}
	if err != nil {
		return err
	}
	n, err := write(p.sock.fd, l.i.Hello())
	if err == nil && n < seal.StreamHelloSize {
		err = errors.New("load: a new connection takes no hello")
	}
	return err
}

// unrecord takes what a sealed stream has received. It returns false when p is gone.
func (f *Fleet) unrecord(p *player, b []byte) bool {
	l := &p.stcp
	if len(l.part) > 0 {
		l.part = append(l.part, b...)
		b = l.part
	}
	if !l.up() {
		a, used, err := l.i.Accept(b)
		if err == nil && a != nil && len(a.Greeting) != 1 {
			err = session.ErrControl
		}
		switch {
		case err != nil:
			f.dropped(p, err)
			return false
		case a == nil:
			l.part = append(l.part[:0], b...)
			return true
		}
		l.i, l.s = nil, a.Stream
		b = b[used:]
		p.session.LinkUp(f.now, f.start.Add(f.now), false)
		p.session.Greeted(a.Greeting[0], session.Nonce(a.Nonce), f.now)
		f.check(p)
	}
	for {
		size, err := seal.RecordSize(b, codec.DefaultMaxBody+codec.FrameOverhead)
		if err == nil && (size == 0 || size > len(b)) {
			break
		}
		var plain []byte
		if err == nil {
			plain, err = l.s.Open(b[:size])
		}
		if err != nil {
			f.dropped(p, err)
			return false
		}
		if !f.stream(p, plain) {
			return false
		}
		b = b[size:]
	}
	l.part = append(l.part[:0], b...)
	return true
}

// appendRecord appends frames as one record.
func (l *sealedStream) appendRecord(to, frames []byte) []byte {
	begin := len(to)
	to = append(append(to, make([]byte, seal.RecordHead)...), frames...)
	var tag [seal.TagSize]byte
	to = append(to, tag[:]...)[:len(to)]
	return to[:begin+len(l.s.Seal(to[begin:]))]
}
