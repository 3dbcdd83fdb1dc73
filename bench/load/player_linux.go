// SPDX-License-Identifier: MIT

package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

type playerState uint8

const (
	isNew playerState = iota
	isOpening
	isOpen
	isGone
)

// player is one of the fleet. A request is known by its number: answers come
// in order, so asked and answered say which are on the way.
type player struct {
	sock            *socket
	session         *session.Client // nil if bare
	times           []time.Duration // when the requests on the way were sent, by number
	part            []byte          // the beginning of a frame
	unsent          []byte          // what a stream has not taken
	asked, answered uint64
	wake            time.Duration // when the wheel comes at the latest
	handle          session.Handle
	index           int
	got             int // bare: bytes of the answer that are here
	tries           int // bare datagrams: how often the oldest request was sent again
	state           playerState
	writing         bool // the stream is watched for room
	kcp             kcp.Conn
}

const (
	minSize = 8 // the number of the request
	maxSize = 16 << 10
)

var echoRoute = codec.NamedRoute("echo")

// makePayload makes what players send, all but the number: one msgpack value,
// or in a bare load nothing but its bytes.
func makePayload(cfg Config) []byte {
	var b []byte
	if !cfg.Bare {
		b = binary.BigEndian.AppendUint16([]byte{0xc5}, uint16(cfg.Size)) // bin 16
	}
	for i := range cfg.Size {
		b = append(b, byte('a'+i%26))
	}
	return b
}

// payload returns the payload of request n of p. It lives until the next call.
func (f *Fleet) payload(p *player, n uint64) []byte {
	number := f.want[len(f.want)-f.cfg.Size:]
	binary.LittleEndian.PutUint64(number, n<<24|uint64(p.index))
	return f.want
}

func (p *player) init(f *Fleet, index int) error {
	p.index, p.wake = index, session.Never
	p.sock = &f.sockets[index%len(f.sockets)]
	if len(f.sockets) == len(f.players) {
		p.sock.owner = p
	}
	p.times = make([]time.Duration, f.cfg.Window)
	p.kcp.Init(uint32(index+1), &f.kcp)
	p.handle = f.wheel.Add(p, session.Never)
	if f.cfg.Bare {
		return nil
	}
	var err error
	p.session, err = session.NewClient(session.ClientConfig{Info: "bench", Rand: random})
	return err
}

// sentAt is where the time of request n is kept.
func (f *Fleet) sentAt(p *player, n uint64) *time.Duration {
	return &p.times[n%uint64(len(p.times))]
}

// begin opens p's session. A bare player is open when a first echo is back.
func (f *Fleet) begin(p *player) {
	p.state = isOpening
	if f.cfg.Carrier == "tcp" {
		if err := f.dial(p); err != nil {
			f.lose(p, err)
			return
		}
	}
	if p.session == nil {
		f.ask(p)
	} else {
		f.check(p)
	}
	f.flush(p)
}

// check does what the session wants of the owner of its link.
func (f *Fleet) check(p *player) {
	wall := f.start.Add(f.now)
	action := p.session.Check(f.now, wall)
	if action == session.Dial && p.state == isOpening {
		p.session.LinkUp(f.now, wall, f.cfg.Carrier == "plain-kcp")
		action = p.session.Check(f.now, wall)
	}
	for _, ch := range p.session.Changes() {
		switch ch.Kind {
		case session.Opened:
			f.opened(p)
		case session.Lost, session.Ending:
			f.lose(p, ch.Err)
		}
	}
	if action == session.Cut {
		f.lose(p, fmt.Errorf("load: link cut while %v", p.session.State()))
	}
}

func (f *Fleet) opened(p *player) {
	p.state = isOpen
	f.opening--
	f.open++
}

// lose gives up a player for good: every lost session is an error here.
func (f *Fleet) lose(p *player, err error) {
	switch p.state {
	case isOpening:
		f.opening--
		f.counts.Refused++
	case isOpen:
		f.open--
		f.counts.Lost++
	default:
		return
	}
	p.state = isGone
	p.kcp.Release()
	if f.counts.Sum() <= 10 {
		f.tell(fmt.Errorf("player %d: %w", p.index, err))
	}
}

// ask sends the next request.
func (f *Fleet) ask(p *player) {
	payload := f.payload(p, p.asked)
	*f.sentAt(p, p.asked) = f.now
	p.asked++
	var err error
	switch {
	case p.session != nil:
		f.packet = codec.AppendRequest(f.packet[:0], p.asked, echoRoute, payload)
		err = p.session.Send(codec.Request, f.packet)
	case f.cfg.Carrier == "plain-kcp":
		err = p.kcp.Write(payload)
	case f.cfg.Carrier == "tcp":
		p.unsent = append(p.unsent, payload...)
	default:
		f.datagram(p, payload)
	}
	if err != nil {
		f.lose(p, err)
	}
}

// answer takes the answer to the oldest request.
func (f *Fleet) answer(p *player, right bool) {
	if !right || p.answered == p.asked {
		f.counts.Wrong++
		return
	}
	f.hist.Add(f.now - *f.sentAt(p, p.answered))
	p.answered++
	if p.state == isOpening {
		f.opened(p)
	}
	if f.busy && p.state == isOpen {
		f.ask(p)
	}
}

// stream takes bytes that arrived in order. It returns false when p is gone.
func (f *Fleet) stream(p *player, b []byte) bool {
	if p.session == nil {
		f.bare(p, b)
		return p.state != isGone
	}
	if len(p.part) > 0 {
		p.part = append(p.part, b...)
		b = p.part
	}
	for len(b) > 0 {
		pk, n, err := codec.ParseFrame(b, codec.DefaultMaxBody)
		if err != nil {
			f.lose(p, err)
			return false
		}
		if n == 0 {
			break
		}
		b = b[n:]
		if f.receive(p, pk); p.state == isGone {
			return false
		}
	}
	p.part = append(p.part[:0], b...)
	return true
}

func (f *Fleet) receive(p *player, pk codec.Packet) {
	deliver, err := p.session.Receive(pk, f.now)
	if err != nil {
		f.lose(p, err)
		return
	}
	if p.state != isOpen || p.session.State() != session.Open {
		f.check(p)
	}
	switch {
	case !deliver:
	case pk.Kind == codec.Response:
		id, payload, err := codec.ParseResponse(pk.Body)
		f.answer(p, err == nil && id == p.answered+1 && bytes.Equal(payload, f.payload(p, p.answered)))
	default: // a FAILURE, or what nobody asked for
		f.answer(p, false)
	}
}

// bare takes a part of the stream of echoes.
func (f *Fleet) bare(p *player, b []byte) {
	for len(b) > 0 {
		want := f.payload(p, p.answered)[p.got:]
		n := min(len(want), len(b))
		if !bytes.Equal(b[:n], want[:n]) {
			f.lose(p, fmt.Errorf("load: echo %d is not what was sent", p.answered))
			return
		}
		b = b[n:]
		if p.got += n; p.got == f.cfg.Size {
			p.got = 0
			f.answer(p, true)
		}
	}
}
