// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// goPlayer is session.Client, and what is around it, as a player. With a fault
// it breaks one rule.
type goPlayer struct {
	fault  fault
	c      *session.Client
	now    time.Duration
	wall   time.Time
	random time.Duration
	room   int
	stamp  bool
	lines  []shown
	in     codec.Packet // the last that came
	memory              // of faults
}

// shown is a line that may still grow by packets that count on.
type shown struct {
	before, after string
	from, to      int
}

func (p *goPlayer) begin(string) error {
	*p = goPlayer{fault: p.fault, wall: time.Unix(1_700_000_000, 0), room: 1 << 20}
	return nil
}

func (p *goPlayer) do(command string) ([]string, error) {
	verb, rest, _ := strings.Cut(command, " ")
	if err := p.act(verb, rest); err != nil {
		return nil, err
	}
	lines := make([]string, len(p.lines))
	for i, l := range p.lines {
		k := packet{from: l.from, to: l.to}
		lines[i] = l.before + strings.TrimPrefix(k.String(), codec.Heartbeat.String()) + l.after
	}
	p.lines = nil
	return lines, nil
}

func (p *goPlayer) act(verb, rest string) error {
	d, bad := time.ParseDuration(rest)
	switch verb {
	case "random":
		p.random = d
		return bad
	case "room":
		p.room, bad = strconv.Atoi(rest)
		return bad
	case "advance":
		return p.advance(d)
	case "state":
		return p.state()
	case "stall":
		p.now, p.wall = p.now+d, p.wall.Add(d)
	case "sleep":
		p.wall = p.wall.Add(d)
	case "config":
		if err := p.config(rest); err != nil {
			return err
		}
	case "in":
		if err := p.receive(rest); err != nil {
			return err
		}
	case "send":
		if err := p.send(rest); err != nil {
			return err
		}
	case "up":
		p.c.LinkUp(p.now, p.wall, false)
		if p.fault.talksFirst {
			p.show("out HEARTBEAT", 0, "")
		}
	case "down":
		p.c.LinkDown(p.now)
	case "dropped":
		p.c.LinkDropped(p.now)
	case "saw":
		p.c.Saw(p.now)
	case "hold":
		p.c.Hold(rest == "on")
	case "hurry":
		p.c.Hurry(p.now)
	case "pause":
		p.c.Pause(p.now)
	case "close":
		p.c.Close()
	default:
		return fmt.Errorf("no such command: %s", verb)
	}
	return p.settle()
}

func (p *goPlayer) config(rest string) error {
	var cfg struct {
		Ticket, Info, Token                                                  string
		MaxPackets, MaxBytes, MaxReceive, OpeningTimeout, MinDelay, MaxDelay int
	}
	if err := json.Unmarshal([]byte(rest), &cfg); err != nil {
		return err
	}
	var ticket []byte
	if cfg.Ticket != "" {
		ticket = []byte(cfg.Ticket)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	if p.fault.noDelay {
		cfg.MinDelay, cfg.MaxDelay = 1, 1
	}
	var err error
	p.c, err = session.NewClient(session.ClientConfig{
		Ticket: func() ([]byte, bool) { return ticket, true }, Info: cfg.Info, Token: cfg.Token,
		MaxPackets: cfg.MaxPackets, MaxBytes: cfg.MaxBytes, MaxReceive: cfg.MaxReceive,
		OpeningTimeout: ms(cfg.OpeningTimeout), MinDelay: ms(cfg.MinDelay), MaxDelay: ms(cfg.MaxDelay),
		Rand: func() uint64 { return uint64(p.random) },
	})
	return err
}

func (p *goPlayer) state() error {
	n, size := p.c.Queued()
	p.show(fmt.Sprintf("%v session=%v queued=%d/%d received=%d routes=%d rtt=%s due=%s",
		p.c.State(), p.c.Token() != "", n, size, p.c.Received(), len(p.c.Routes()), seconds(p.c.RTT()), seconds(p.c.Due())), 0, "")
	if at := p.c.Address(); at != "" {
		p.show("at "+at, 0, "")
	}
	return nil
}

func seconds(d time.Duration) string {
	if d == session.Never {
		return "never"
	}
	return strconv.FormatFloat(d.Round(time.Microsecond).Seconds(), 'f', -1, 64) + "s"
}

// settle does what the owner of a client does after everything that happens.
func (p *goPlayer) settle() error {
	for {
		action := p.c.Check(p.now, p.wall)
		p.changes()
		if action == session.Wait {
			break
		}
		if action == session.Dial {
			p.show("dial", 0, "")
			break
		}
		if err := p.output(0); err != nil {
			return err
		}
		p.show("cut", 0, "")
	}
	return p.output(p.room)
}

// advance lets time pass for a client that looks when it is due.
func (p *goPlayer) advance(d time.Duration) error {
	p.stamp = true
	defer func() { p.stamp = false }()
	due := func() time.Duration {
		if p.c.Due() == session.Never {
			return session.Never
		}
		return p.c.Due() + p.fault.late
	}
	for end := p.now + d; ; {
		at := max(min(due(), end), p.now)
		p.wall = p.wall.Add(at - p.now)
		p.now = at
		last := due() > end
		if err := p.settle(); err != nil || last {
			return err
		}
	}
}

func (p *goPlayer) changes() {
	names := map[session.ChangeKind]string{
		session.Opened: "opened", session.Lost: "lost", session.Resumed: "resumed", session.WasReset: "reset",
		session.Ending: "ending", session.Moving: "moving", session.PutOff: "put off",
	}
	for _, ch := range p.c.Changes() {
		text := names[ch.Kind]
		if ch.Err != nil {
			text += fmt.Sprintf(" %d", ch.Err.Code)
			if ch.Err.Remote {
				text += " by the server"
			}
		}
		switch ch.Kind {
		case session.PutOff:
			text += " for " + seconds(ch.Delay)
		case session.Moving:
			text += " after " + seconds(ch.Delay) + " " + ch.Address
		}
		if ch.Stuck {
			text += " stuck"
		}
		p.show(strings.TrimRight(text, " "), 0, "")
		for _, k := range ch.Undelivered {
			if !p.fault.noReport {
				body, _ := bodyText(k.Body)
				p.show("undelivered "+k.Kind.String(), 0, " "+body)
			}
		}
	}
}

func (p *goPlayer) output(room int) error {
	for b := p.c.Output(nil, p.now, room); len(b) > 0; {
		k, n, err := codec.ParseFrame(b, 1<<28)
		if err != nil || n == 0 {
			return fmt.Errorf("it wrote %x: %w", b, err)
		}
		b = b[n:]
		list := []codec.Packet{k}
		if p.fault.out != nil {
			list = p.fault.out(p, k)
		}
		for _, k := range list {
			if err := p.packet("out", k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *goPlayer) send(rest string) error {
	name, body, _ := strings.Cut(rest, " ")
	kind, err := kindNamed(name)
	if err != nil {
		return err
	}
	b, err := bodyBytes(body)
	if err != nil {
		return err
	}
	switch err := p.c.Send(kind, b); {
	case errors.Is(err, session.ErrFull):
		p.show("full", 0, "")
	case errors.Is(err, session.ErrClosed):
		p.show("closed", 0, "")
	case err != nil:
		p.show("refused", 0, "")
	}
	return nil
}

func (p *goPlayer) receive(rest string) error {
	k, err := parsePacket(rest)
	if err != nil {
		return err
	}
	list, err := k.packets()
	if err != nil {
		return err
	}
	for _, k := range list {
		if p.fault.in != nil {
			p.fault.in(p, &k)
		}
		p.in = k
		deliver, err := p.c.Receive(k, p.now)
		if p.fault.received != nil {
			p.fault.received(p, k, &deliver, &err)
		}
		p.changes()
		if err != nil {
			return p.broken(err)
		}
		if deliver {
			if err := p.packet("deliver", k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *goPlayer) broken(err error) error {
	words := map[error]string{
		session.ErrGap: "gap", session.ErrUnsent: "unsent", session.ErrKind: "kind", session.ErrFenced: "fenced", session.ErrControl: "control",
	}
	for is, word := range words {
		if errors.Is(err, is) {
			p.show("broken "+word, 0, "")
			if is != session.ErrFenced {
				p.c.LinkDown(p.now)
			}
			return nil
		}
	}
	return fmt.Errorf("an error without a word: %w", err)
}

func (p *goPlayer) packet(what string, k codec.Packet) error {
	t, err := packetOf(k)
	if err != nil {
		return err
	}
	head, tail := t, t
	head.from, head.to, head.ack, head.body = 0, 0, 0, ""
	tail.kind, tail.flags, tail.from, tail.to = codec.Heartbeat, 0, 0, 0
	p.show(what+" "+head.String(), int(k.Seq), strings.TrimPrefix(tail.String(), codec.Heartbeat.String()))
	return nil
}

func (p *goPlayer) show(before string, seq int, after string) {
	if p.stamp {
		before = seconds(p.now) + " " + before
	}
	if n := len(p.lines) - 1; seq > 0 && n >= 0 {
		if l := &p.lines[n]; l.before == before && l.after == after && l.to+1 == seq {
			l.to++
			return
		}
	}
	p.lines = append(p.lines, shown{before, after, seq, seq})
}
