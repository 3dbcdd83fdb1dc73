// SPDX-License-Identifier: MIT

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	isAway // its link is lost, and it is coming back
	isGone
)

// player is one of the fleet. A request is known by its number: answers come
// in order, so asked and answered say which are on the way.
type player struct {
	sock            *socket
	session         *session.Client // nil if bare
	requests        []request       // those on the way, by number
	part            []byte          // the beginning of a frame
	unsent          []byte          // what a stream has not taken
	asked, answered uint64
	wake            time.Duration // when the wheel comes at the latest
	handle          session.Handle
	index           int
	got             int    // bare: bytes of the answer that are here
	tries           int    // bare datagrams: how often the oldest request was sent again
	pushed          uint64 // number of the server's latest message
	links           uint32 // that it has had
	undelivered     uint64 // requests that it was told may not have arrived
	way             way
	visit           visit
	heard, silence  time.Duration // see Listen
	lost            time.Duration // its link, if it is away
	begun           time.Duration // to open
	skips           bool          // the next answer may be to a later request: see skip
	state           playerState
	linked          bool         // there is a link, open or opening
	writing         bool         // the stream is watched for room
	welcomed        bool         // bare: the server has said what it says first
	ws              webSocket    // ws only
	stcp            sealedStream // stcp only
	sealed          *sealedLink  // kcp only
	kcp             kcp.Conn
}

// maxIndex is the part of a conversation's number that names the player; the
// rest counts the player's links.
const maxIndex = 1<<20 - 1

const (
	minSize = 8 // the number of the request
	maxSize = 16 << 10
)

// makeRequest makes what players send, and makeAnswer what they get, all but the
// number: one msgpack value, or in a bare load nothing but its bytes.
func makeRequest(c Config) []byte { return makePayload(c.Bare, c.Dialect.Ask, c.Size) }

func makeAnswer(c Config) []byte { return makePayload(c.Bare, c.Dialect.Answer, c.Answer) }

func makePayload(bare bool, prefix []byte, size int) []byte {
	head := slices.Clone(prefix)
	if !bare {
		head = AppendHead(nil, size)
	}
	b := append(head, make([]byte, size)...)
	Fill(b[len(head):])
	return b
}

// payload returns the payload of request n of p. It lives until the next call.
func (f *Fleet) payload(p *player, n uint64) []byte {
	return number(f.sends, f.cfg.Size, p.index, n)
}

// reply returns the answer that request n of p deserves.
func (f *Fleet) reply(p *player, n uint64) []byte {
	return number(f.wants, f.cfg.Answer, p.index, n)
}

func number(b []byte, size, index int, n uint64) []byte {
	binary.LittleEndian.PutUint64(b[len(b)-size:], n<<24|uint64(index))
	return b
}

func (p *player) init(f *Fleet, index int) error {
	p.index, p.wake = index, session.Never
	p.sock = &f.sockets[index%len(f.sockets)]
	if len(f.sockets) == len(f.players) {
		p.sock.owner = p
	}
	p.requests = make([]request, f.cfg.Window)
	p.handle = f.wheel.Add(p, session.Never)
	p.kcp.Init(0, &f.kcp) // who has no link, or not one of KCP, is asked for its counts even so
	if f.cfg.Bare {
		return nil
	}
	var err error
	cfg := session.ClientConfig{Info: "bench", Rand: rand.Uint64}
	if f.cfg.Users {
		p.way.at = index % max(len(f.cfg.Servers), 1)
		ticket := []byte(UserName(index))
		cfg.Ticket = func() ([]byte, bool) { return ticket, true }
	}
	p.session, err = session.NewClient(cfg)
	return err
}

// request is what is kept of a request until it is answered.
type request struct{ due, written time.Duration }

// request is where request n is kept.
func (f *Fleet) request(p *player, n uint64) *request {
	return &p.requests[n%uint64(len(p.requests))]
}

// begin opens p's session. A bare player is open when a first echo is back.
func (f *Fleet) begin(p *player) {
	p.state, p.begun = isOpening, f.now
	if p.session == nil {
		if err := f.link(p); err != nil {
			f.lose(p, err)
			return
		}
		if knock := f.cfg.Dialect.Knock; len(knock) > 0 {
			f.write(p, knock)
		}
		p.welcomed = len(f.cfg.Dialect.Welcome) == 0
		if f.cfg.Dialect.Push == nil {
			f.ask(p, f.now)
		}
	} else {
		f.check(p)
	}
	f.flush(p)
}

// link gives p a new link: another conversation, or another connection.
func (f *Fleet) link(p *player) error {
	p.part, p.unsent, p.writing = p.part[:0], p.unsent[:0], false
	if f.streams {
		if p.sock.fd < 0 {
			if err := f.openSocket(p.index); err != nil {
				return err
			}
		}
		if err := f.dial(p); err != nil {
			f.closeSocket(p.sock)
			return err
		}
	} else if err := f.redirect(p); err != nil {
		return err
	}
	p.links++
	p.linked = true
	switch f.cfg.Carrier {
	case "plain-kcp":
		p.kcp.Init(p.links<<20|uint32(p.index+1), &f.kcp)
	case "kcp":
		return f.shake(p)
	case "stcp":
		return f.shakeStream(p)
	}
	return nil
}

// check does what the session wants of the owner of its link.
func (f *Fleet) check(p *player) {
	wall := f.start.Add(f.now)
	action := p.session.Check(f.now, wall)
	if action == session.Dial {
		if err := f.reach(p); err != nil {
			f.unreached(p, err)
			return
		}
		if f.cfg.Carrier == "kcp" || f.cfg.Carrier == "stcp" {
			f.schedule(p)
			return // the link is up when the server accepts it
		}
		p.session.LinkUp(f.now, wall, f.cfg.Carrier == "plain-kcp")
		action = p.session.Check(f.now, wall)
	}
	f.changes(p)
	if action == session.Cut && p.state != isGone {
		f.again(p, errors.New("load: not open in time")) // the next dial may be due at once
	}
}

// changes takes note of what the session has gone through.
func (f *Fleet) changes(p *player) {
	for _, ch := range p.session.Changes() {
		switch ch.Kind {
		case session.Opened:
			if p.state == isAway {
				f.logins++
				f.back(p)
				break
			}
			f.opened(p)
		case session.Resumed:
			f.back(p)
		case session.WasReset:
			f.reset(p, ch)
			f.back(p)
		case session.Lost:
			if !f.cfg.Return {
				f.lose(p, ch.Err)
				return
			}
			p.state, p.lost = isAway, f.now
			f.away++
		case session.Ending:
			if f.cfg.Relogin && p.session.State() != session.Ended {
				f.gone(p, ch)
				break
			}
			f.lose(p, ch.Err)
			return
		}
	}
}

// dropped takes note that p's link broke. A session that is not open yet is asked for
// again, as each client asks: a machine that has no time makes openings slow, not fewer.
func (f *Fleet) dropped(p *player, err error) {
	if p.session == nil || !f.cfg.Return && p.state != isOpening {
		f.lose(p, err)
		return
	}
	if p.state == isGone || !p.linked {
		return
	}
	p.session.LinkDown(f.now)
	f.changes(p)
	f.again(p, err)
}

// again leaves p's link for the next one.
func (f *Fleet) again(p *player, err error) {
	if p.state == isOpening {
		f.repeated++
		f.failure = err
	}
	f.unlink(p)
	f.schedule(p)
}

// unlink forgets p's link.
func (f *Fleet) unlink(p *player) {
	p.linked = false
	if f.streams {
		f.closeSocket(p.sock)
	} else {
		p.kcp.Release()
		f.unseal(p)
	}
}

func (f *Fleet) opened(p *player) {
	p.state = isOpen
	f.opening--
	f.open++
	f.openings.Add(f.now - p.begun)
	f.arrived(p)
}

func (f *Fleet) back(p *player) {
	p.state = isOpen
	f.away--
	f.returns.Add(f.now - f.cut)
	f.redials.Add(f.now - p.way.dialled)
	f.aways.Add(f.now - p.lost)
	f.arrived(p)
}

// lose gives up a player for good: every lost session is an error here.
func (f *Fleet) lose(p *player, err error) {
	switch p.state {
	case isOpening:
		f.opening--
		f.counts.Refused++
	case isAway:
		f.away--
		fallthrough
	case isOpen:
		f.open--
		f.counts.Lost++
	default:
		return
	}
	p.state, p.linked = isGone, false
	p.kcp.Release()
	f.unseal(p)
	f.complain(p, err)
}

// wrong counts what should not have arrived. p is nil if it is not known which player it was for.
func (f *Fleet) wrong(p *player, err error) {
	f.counts.Wrong++
	f.complain(p, err)
}

// complain tells the first errors.
func (f *Fleet) complain(p *player, err error) {
	if f.counts.Sum() > 10 {
		return
	}
	if p != nil {
		err = fmt.Errorf("player %d: %w", p.index, err)
	}
	f.tell(err)
}

// ask sends the next request, which was due at at.
func (f *Fleet) ask(p *player, at time.Duration) {
	if b := f.cfg.Backlog; b > 0 && f.cfg.Rate > 0 && p.asked-p.answered >= uint64(b) {
		f.counts.Full++
		return
	}
	payload := f.payload(p, p.asked)
	if p.asked-p.answered == uint64(len(p.requests)) {
		f.grow(p)
	}
	*f.request(p, p.asked) = request{due: at, written: f.now}
	p.asked++
	var err error
	switch {
	case p.session != nil:
		f.packet = codec.AppendRequest(f.packet[:0], p.asked, f.route, payload)
		err = p.session.Send(codec.Request, f.packet)
		if f.cfg.Rate > 0 && errors.Is(err, session.ErrFull) {
			p.asked--
			f.counts.Full++
			return
		}
	case f.cfg.Carrier == "plain-kcp":
		err = p.kcp.Write(payload)
	case f.streams:
		f.write(p, payload)
	default:
		f.datagram(p, payload)
	}
	if err != nil {
		f.lose(p, err)
	}
}

// answer takes the answer to the oldest request.
func (f *Fleet) answer(p *player) {
	if p.answered == p.asked {
		f.wrong(p, fmt.Errorf("an answer beyond the %d that were asked for", p.asked))
		return
	}
	r := f.request(p, p.answered)
	f.hist.Add(f.now - r.due)
	f.own(r)
	p.answered++
	if p.state == isOpening {
		f.opened(p)
	}
	if f.busy && p.state == isOpen && f.cfg.Rate == 0 {
		f.ask(p, f.now)
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
			f.dropped(p, err)
			return false
		}
		if n == 0 {
			break
		}
		b = b[n:]
		if f.receive(p, pk); p.state == isGone || !p.linked {
			return false
		}
	}
	p.part = append(p.part[:0], b...)
	return true
}

func (f *Fleet) receive(p *player, pk codec.Packet) {
	deliver, err := p.session.Receive(pk, f.now)
	if err != nil {
		f.dropped(p, err)
		return
	}
	if p.state != isOpen || p.session.State() != session.Open {
		f.check(p)
	}
	if deliver {
		f.hear(p)
	}
	switch {
	case !deliver, f.visited(p, pk):
	case pk.Kind == codec.Response:
		id, payload, err := codec.ParseResponse(pk.Body)
		f.skip(p, id)
		if err != nil || id != p.answered+1 || !bytes.Equal(payload, f.reply(p, p.answered)) {
			f.wrong(p, fmt.Errorf("an answer to request %d, %d bytes, in place of that to %d of %d", id, len(payload), p.answered+1, p.asked))
			return
		}
		f.answer(p)
	case pk.Kind == codec.Message:
		f.message(p, pk.Body)
	default: // a FAILURE, or what nobody asked for
		id, code, text, err := codec.ParseFailure(pk.Body)
		f.wrong(p, fmt.Errorf("%v to request %d (%d %q, %v) in place of the answer to %d of %d", pk.Kind, id, code, text, err, p.answered+1, p.asked))
	}
}

// bare takes a part of the stream of echoes.
func (f *Fleet) bare(p *player, b []byte) {
	for len(b) > 0 {
		want := f.cfg.Dialect.Welcome
		if p.welcomed && f.cfg.Dialect.Push != nil {
			f.barePushes(p, b)
			return
		}
		if p.welcomed {
			want = f.reply(p, p.answered)
		}
		want = want[p.got:]
		n := min(len(want), len(b))
		if !bytes.Equal(b[:n], want[:n]) {
			f.lose(p, fmt.Errorf("load: echo %d is not what was sent", p.answered))
			return
		}
		b = b[n:]
		if p.got += n; n < len(want) {
			return
		}
		p.got = 0
		if p.welcomed {
			f.answer(p)
		}
		if p.welcomed = true; f.cfg.Dialect.Push != nil {
			f.opened(p)
		}
	}
}
