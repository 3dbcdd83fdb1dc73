// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// attack is something that a client does to a server, and what has to come of it.
type attack struct {
	rule rule
	do   func(*target) error
}

// attacks are in the order of the sections.
var attacks = []attack{
	{rule{"frame", "codec/SPEC.md 7", "bytes that are no frame end the link, and nothing is said"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error {
			if err := g.write([]byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}); err != nil {
				return err
			}
			return g.closed(2)
		})
	}},
	{rule{"large frame", "codec/SPEC.md 7", "a frame above the limit ends the link before its bytes are there"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error {
			head := codec.Header{Kind: codec.Message, Seq: 1}.Append(binary.AppendUvarint(nil, 64<<20))
			if err := g.write(append(head, 0)); err != nil {
				return err
			}
			return g.closed(2)
		})
	}},
	{rule{"route", "codec/SPEC.md 6.3", "a request on a route without a handler is answered NO ROUTE"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error { return g.answered() })
	}},
	{rule{"greeting", "session/SPEC.md 2", "the server sends GREETING first, with a nonce of its own for each link"}, func(t *target) error {
		a, err := t.link()
		if err != nil {
			return err
		}
		defer a.close()
		b, err := t.link()
		if err != nil {
			return err
		}
		defer b.close()
		if len(a.nonce) != 16 || len(b.nonce) != 16 || bytes.Equal(a.nonce, b.nonce) {
			return fmt.Errorf("nonces %x and %x", a.nonce, b.nonce)
		}
		return nil
	}},
	{rule{"opening deadline", "session/SPEC.md 2", "a link that carries no session after 5 s is closed, and not before"}, func(t *target) error {
		g, err := t.link()
		if err != nil {
			return err
		}
		defer g.close()
		start := time.Now()
		slow := *t
		slow.wait = 8 * time.Second
		g.t = &slow
		if err := g.closed(6); err != nil {
			return err
		}
		if d := time.Since(start); d < 4*time.Second {
			return fmt.Errorf("it was closed after %v", d.Round(time.Millisecond))
		}
		return nil
	}},
	{rule{"early heartbeat", "session/SPEC.md 2", "heartbeats on a link without a session are ignored, acknowledgement and all"}, func(t *target) error {
		return t.greeted(func(g *guest, s *seat) error {
			if err := g.send("HEARTBEAT echo-wanted seq=5 ack=77", g.hello(s, 1, g.nonce, t.later())); err != nil {
				return err
			}
			return g.welcomed(s)
		})
	}},
	{rule{"version", "session/SPEC.md 2.1", "HELLO with another version is answered REFUSED{VERSION}"}, func(t *target) error {
		return t.greeted(func(g *guest, s *seat) error {
			if err := g.send(g.hello(s, 2, g.nonce, t.later())); err != nil {
				return err
			}
			_, err := g.code(203)
			return err
		})
	}},
	{rule{"nonce", "session/SPEC.md 2.6", "HELLO with another nonce is a protocol error"}, func(t *target) error {
		return t.greeted(func(g *guest, s *seat) error {
			return g.ends(2, g.hello(s, 1, random16(), t.later()))
		})
	}},
	{rule{"control body", "session/SPEC.md 3", "a body that does not match its table is a protocol error"}, func(t *target) error {
		return t.greeted(func(g *guest, _ *seat) error {
			return g.ends(2, `HELLO [1,"0x00"]`)
		})
	}},
	{rule{"attempt", "session/SPEC.md 3.2", "HELLO with attempt 0 is STALE"}, func(t *target) error {
		return t.greeted(func(g *guest, s *seat) error {
			if err := g.send(g.hello(s, 1, g.nonce, 0)); err != nil {
				return err
			}
			_, err := g.code(103)
			return err
		})
	}},
	{rule{"parameters", "session/SPEC.md 3.4", "the parameters keep their conditions"}, func(t *target) error {
		return t.opened(func(_ *guest, s *seat) error {
			p := field(s.body, 4)
			interval, timeout, body, packets, size := number(p, 0), number(p, 1), number(p, 4), number(p, 5), number(p, 6)
			if interval == 0 || timeout < 2*interval || body == 0 || packets == 0 || size < body || len(s.sid) != 16 || len(s.key) != 32 {
				return fmt.Errorf("WELCOME %s", short(s.body))
			}
			return nil
		})
	}},
	{rule{"written again", "session/SPEC.md 4.1", "what was not accepted is written again on a new link, and what was accepted is not"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			if err := g.answered(); err != nil {
				return err
			}
			return t.comes(s, claim{recv: 0, lowest: 2}, codec.Resumed, func(g *guest) error {
				if p, err := g.want(codec.Failure); err != nil || p.from != 1 {
					return fmt.Errorf("the answer that was not accepted: seq %d, %w", p.from, err)
				}
				return t.comes(s, claim{recv: 1, lowest: 2}, codec.Resumed, (*guest).alive)
			})
		})
	}},
	{rule{"once", "session/SPEC.md 4.2", "a packet that came before is dropped"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error {
			if err := g.answered(); err != nil {
				return err
			}
			if err := g.send(question(1)); err != nil {
				return err
			}
			return g.alive()
		})
	}},
	{rule{"gap", "session/SPEC.md 4.2", "a missing packet ends the link, and not the session"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			if err := g.ends(3, question(2)); err != nil {
				return err
			}
			return t.comes(s, claim{lowest: 1}, codec.Resumed, func(g *guest) error { return g.answered() })
		})
	}},
	{rule{"unsent", "session/SPEC.md 4.3", "an acknowledgement of what was never written is a protocol error"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error {
			return g.ends(2, "HEARTBEAT ack=1000")
		})
	}},
	{rule{"malformed message", "session/SPEC.md 4.11", "a fault in one message ends neither the link nor the session; a request with a readable id is answered BAD REQUEST"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error {
			if err := g.send("MESSAGE seq=1 [1]", `REQUEST seq=2 [7,"",1]`); err != nil {
				return err
			}
			p, err := g.want(codec.Failure)
			if err != nil {
				return err
			}
			if number(p.body, 0) != 7 || number(p.body, 1) != uint64(codec.ErrorBadRequest) {
				return fmt.Errorf("want FAILURE [7,3,...], got %v", p)
			}
			return g.alive()
		})
	}},
	{rule{"echo", "session/SPEC.md 5.1", "a ping is echoed at once, with its id"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error { return g.alive() })
	}},
	{rule{"flood", "session/SPEC.md 5.5", "a flood of pings ends the session with POLICY"}, func(t *target) error {
		return t.opened(func(g *guest, _ *seat) error {
			for i := range 400 {
				if err := g.send(fmt.Sprintf("HEARTBEAT echo-wanted seq=%d", i+1)); err != nil {
					return err
				}
			}
			for {
				p, err := g.next(t.wait)
				if err != nil {
					return fmt.Errorf("want BYE with code 204, got %w", err)
				}
				if p.kind == codec.Bye && number(p.body, 0) == 204 {
					return nil
				}
			}
		})
	}},
	{rule{"opening id", "session/SPEC.md 6.1", "a repeated HELLO finds its session, and one that was overtaken is STALE"}, func(t *target) error {
		return t.greeted(func(g *guest, s *seat) error {
			first := t.later()
			if err := g.send(g.hello(s, 1, g.nonce, first)); err != nil {
				return err
			}
			if err := g.welcomed(s); err != nil {
				return err
			}
			g.close()
			again := seat{opening: s.opening, ticket: s.ticket}
			if err := t.asks(&again, t.later(), func(g *guest) error { return g.welcomed(&again) }); err != nil {
				return err
			}
			if !bytes.Equal(again.sid, s.sid) || !bytes.Equal(again.key, s.key) {
				return fmt.Errorf("session %x became %x", s.sid, again.sid)
			}
			return t.asks(&again, first, func(g *guest) error { _, err := g.code(103); return err })
		})
	}},
	{rule{"proof", "session/SPEC.md 6.4", "without a valid proof the answer is UNKNOWN, and nothing changes"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			if err := t.refused(s, claim{lowest: 1, key: make([]byte, 32)}, 100); err != nil {
				return err
			}
			stranger := *s
			stranger.sid = random16()
			if err := t.refused(&stranger, claim{lowest: 1}, 100); err != nil {
				return err
			}
			return g.alive()
		})
	}},
	{rule{"stale", "session/SPEC.md 6.3", "an attempt that is not above the last is STALE, and told the last"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			at := t.later()
			return t.comes(s, claim{attempt: at, lowest: 1}, codec.Resumed, func(g *guest) error {
				b, err := t.back(s, claim{attempt: at, lowest: 1})
				if err != nil {
					return err
				}
				defer b.close()
				p, err := b.code(103)
				if err == nil && number(p.body, 2) != at {
					err = fmt.Errorf("want the last attempt %d, got %v", at, p)
				}
				return err
			})
		})
	}},
	{rule{"counts", "session/SPEC.md 6.3", "counts that contradict each other end the session"}, func(t *target) error {
		return t.opened(func(_ *guest, s *seat) error {
			if err := t.refused(s, claim{recv: 1000, lowest: 1}, 108); err != nil {
				return err
			}
			return t.refused(s, claim{lowest: 1}, 100, 101, 108)
		})
	}},
	{rule{"reset", "session/SPEC.md 6.3", "a client that lost its count, or packets, is reset"}, func(t *target) error {
		return t.opened(func(_ *guest, s *seat) error {
			return t.comes(s, claim{fresh: true, lowest: 1}, codec.Reset, func(*guest) error {
				return t.comes(s, claim{lowest: 9}, codec.Reset, (*guest).alive)
			})
		})
	}},
	{rule{"takeover", "session/SPEC.md 6.3", "a RESUME that is accepted ends the older link at once"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			return t.comes(s, claim{lowest: 1}, codec.Resumed, func(b *guest) error {
				if err := g.closed(202); err != nil {
					return err
				}
				return b.alive()
			})
		})
	}},
	{rule{"out of place", "session/SPEC.md 7.3", "what has no place on a link is a protocol error"}, func(t *target) error {
		if err := t.greeted(func(g *guest, _ *seat) error {
			return g.ends(2, question(1))
		}); err != nil {
			return fmt.Errorf("REQUEST before the opening: %w", err)
		}
		for _, text := range []string{`GREETING [1,"0x000102030405060708090a0b0c0d0e0f"]`, "TUNE [1000,4000]", `REFUSED [100,"",0]`, `MOVE [0,""]`} {
			if err := t.opened(func(g *guest, _ *seat) error {
				return g.ends(2, text)
			}); err != nil {
				return fmt.Errorf("%s of a client: %w", text, err)
			}
		}
		return nil
	}},
	{rule{"resume twice", "session/SPEC.md 7.3", "a RESUME on the link that carries the session is a protocol error"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			if err := g.resume(s, claim{attempt: t.later(), lowest: 1}); err != nil {
				return err
			}
			return g.closed(2)
		})
	}},
	{rule{"detach", "session/SPEC.md 8.7", "DETACH ends the link, and not the session"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			if err := g.ends(1, "DETACH []"); err != nil {
				return err
			}
			return t.comes(s, claim{lowest: 1}, codec.Resumed, (*guest).alive)
		})
	}},
	{rule{"goodbye", "session/SPEC.md 6.4", "BYE ends the session, and its holder is told GONE with the final count"}, func(t *target) error {
		return t.opened(func(g *guest, s *seat) error {
			if err := g.answered(); err != nil {
				return err
			}
			if err := g.ends(106, `BYE [106,"",0]`); err != nil {
				return err
			}
			b, err := t.back(s, claim{recv: 1, lowest: 2})
			if err != nil {
				return err
			}
			defer b.close()
			p, err := b.code(101)
			if err == nil && number(p.body, 2) != 1 {
				err = fmt.Errorf("want the final count 1, got %v", p)
			}
			return err
		})
	}},
}

// question is a request on a route that no server has.
func question(seq int) string {
	return fmt.Sprintf(`REQUEST seq=%d [1,"conform.no-such-route",1]`, seq)
}

// answered asks it, and waits for the answer.
func (g *guest) answered() error {
	if err := g.send(question(1)); err != nil {
		return err
	}
	p, err := g.want(codec.Failure)
	if err == nil && (number(p.body, 0) != 1 || number(p.body, 1) != uint64(codec.ErrorNoRoute)) {
		err = fmt.Errorf("want FAILURE [1,2,...], got %v", short(p.String()))
	}
	return err
}

// greeted does something on a link without a session.
func (t *target) greeted(do func(*guest, *seat) error) error {
	g, err := t.link()
	if err != nil {
		return err
	}
	defer g.close()
	return do(g, t.newcomer())
}

// opened does something on a link with a session, and logs out.
func (t *target) opened(do func(*guest, *seat) error) error {
	g, s, err := t.login()
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	defer g.close()
	return do(g, s)
}

// asks sends a HELLO on a new link.
func (t *target) asks(s *seat, attempt uint64, then func(*guest) error) error {
	g, err := t.link()
	if err != nil {
		return err
	}
	defer g.close()
	if err := g.send(g.hello(s, 1, g.nonce, attempt)); err != nil {
		return err
	}
	return then(g)
}

// comes resumes on a new link, and is answered so.
func (t *target) comes(s *seat, c claim, answer codec.Kind, then func(*guest) error) error {
	g, err := t.back(s, c)
	if err != nil {
		return err
	}
	defer g.close()
	if _, err := g.want(answer); err != nil {
		return err
	}
	return then(g)
}

// refused resumes on a new link, and is refused so.
func (t *target) refused(s *seat, c claim, codes ...uint64) error {
	g, err := t.back(s, c)
	if err != nil {
		return err
	}
	defer g.close()
	_, err = g.code(codes...)
	return err
}

// broken is a rule that a server did not keep, and how.
type broken struct {
	rule rule
	err  error
}

// try does everything to the server, and returns what came of it.
func (t *target) try() []broken {
	var list []broken
	for _, a := range attacks {
		err := a.do(t)
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the server closed the link", err)
		}
		list = append(list, broken{a.rule, err})
	}
	return list
}

// server holds a server against the rules.
func server(o *options) int {
	t := &target{addr: o.command[0], ticket: o.ticket, wait: o.reaction}
	g, err := t.dial()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conform:", err)
		return exitBroken
	}
	g.close()
	list := t.try()
	for _, b := range list {
		fmt.Printf("%v\n\t%v\n", b.rule, b.err)
	}
	fmt.Printf("%d of %d rules kept\n", len(attacks)-len(list), len(attacks))
	if len(list) > 0 {
		return exitDifference
	}
	return exitFine
}
