// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// rule is what a peer broke: a name to search for, the section that has it,
// and what it says in short.
type rule struct{ name, section, text string }

func (r rule) String() string {
	return fmt.Sprintf("%s (%s): %s", r.name, r.section, r.text)
}

// The rules of a client by which differences are told apart. A difference that
// none of them fits is told by what its script is about.
var (
	ruleSilence     = rule{"silence", "session/SPEC.md 2", "a client says nothing before the GREETING"}
	ruleNonce       = rule{"nonce", "session/SPEC.md 2.6", "HELLO repeats the nonce of this link's GREETING"}
	ruleLogin       = rule{"login", "session/SPEC.md 3.2", "HELLO carries the client's version, ticket, info and the hash of its routes"}
	ruleOpening     = rule{"opening id", "session/SPEC.md 6.1", "a HELLO whose answer was lost is repeated with the same opening id; every other login has a new one"}
	ruleAttempt     = rule{"attempt", "session/SPEC.md 8.4", "attempt is higher on every link than on all before, and above that of STALE"}
	ruleRecv        = rule{"recv", "session/SPEC.md 3.5", "RESUME says how many packets were accepted, nil if that is lost"}
	ruleLowest      = rule{"lowest", "session/SPEC.md 3.5", "RESUME says the oldest packet that can still be sent again"}
	ruleProof       = rule{"proof", "session/SPEC.md 6.2", "RESUME proves the key for this link's nonce"}
	ruleCan         = rule{"can", "session/SPEC.md 3.5", "RESUME says what the client can, if the latest parameters say that sessions are reopened"}
	ruleSession     = rule{"session id", "session/SPEC.md 3.5", "RESUME names the session of the latest WELCOME"}
	ruleGivenUp     = rule{"given up", "session/SPEC.md 8.3", "a session is resumed until it is known to be gone, or three resumes were refused"}
	ruleGone        = rule{"gone", "session/SPEC.md 8.5", "a session that is gone is not asked for again: the client logs in on the same link"}
	ruleConfirm     = rule{"confirm", "session/SPEC.md 6.6", "after WELCOME, RESUMED and RESET the client writes at once"}
	ruleAckNow      = rule{"acknowledge", "session/SPEC.md 4.4", "32 packets, or a quarter of the limits, are acknowledged at once"}
	ruleAck         = rule{"ack", "session/SPEC.md 4.3", "ack32 is the number of packets that were accepted"}
	ruleSeq         = rule{"seq", "session/SPEC.md 4.1", "counted packets are numbered one by one, and a packet keeps its number"}
	ruleAgain       = rule{"written again", "session/SPEC.md 4.1", "a packet is written once on a link, and never again once the server has accepted it"}
	ruleLost        = rule{"not written", "session/SPEC.md 4.1", "what the server has not accepted is written on every new link, in order, as far as its window lets"}
	ruleWindow      = rule{"window", "session/SPEC.md 4.6", "no more is unacknowledged on a link than the server's limits"}
	ruleHold        = rule{"hold", "session/SPEC.md 4.8", "a client that is held writes nothing counted"}
	ruleHoldFlag    = rule{"hold flag", "session/SPEC.md 4.8", "a client that holds says so on each heartbeat"}
	rulePing        = rule{"ping", "session/SPEC.md 5.1", "a client pings when it has received nothing or sent nothing for an interval"}
	rulePingID      = rule{"ping id", "session/SPEC.md 5.1", "a ping has a random id; an open question keeps it"}
	ruleProbe       = rule{"probe", "session/SPEC.md 5.4", "a client that did not run, or slept, asks before it judges, and a quarter of an interval passes between probes"}
	ruleEcho        = rule{"echo", "session/SPEC.md 5.1", "a ping is echoed at once, with its id"}
	ruleDead        = rule{"dead link", "session/SPEC.md 5.1", "a link is left after a timeout of silence with an unanswered ping, and not before"}
	ruleStuck       = rule{"stuck link", "session/SPEC.md 5.6", "a link whose question stays open is left"}
	ruleDeadline    = rule{"opening deadline", "session/SPEC.md 2", "a link that carries no session after 5 s is left"}
	ruleDelay       = rule{"delay", "session/SPEC.md 8.2", "the n-th attempt waits random(0, min(30 s, 0.5 s * 2^n)), and as long as the server says"}
	ruleFinal       = rule{"final", "session/SPEC.md 9", "a client that was sent away for good does not come back"}
	ruleTwice       = rule{"delivered twice", "session/SPEC.md 4.2", "a packet that came before is dropped"}
	ruleGap         = rule{"gap", "session/SPEC.md 4.2", "a missing packet ends the link; its number is not skipped"}
	ruleAudit       = rule{"audit", "session/SPEC.md 4.5", "the echo of a ping acknowledges what was written before it, else the link has lost something"}
	ruleUndelivered = rule{"not delivered", "session/SPEC.md 4.2", "the next counted packet is delivered, each in its order"}
	ruleFence       = rule{"fence", "session/SPEC.md 8.1", "what a left link still delivers is dropped"}
	ruleUnsent      = rule{"unsent", "session/SPEC.md 4.3", "an acknowledgement of what was never written is a protocol error"}
	ruleControl     = rule{"control body", "session/SPEC.md 3", "a body that does not match its table, or breaks its conditions, is a protocol error"}
	ruleKind        = rule{"out of place", "session/SPEC.md 7.3", "a packet that has no place here is a protocol error, and one that is to be ignored is none"}
	ruleReport      = rule{"report", "session/SPEC.md 8.8", "what the server is not known to have accepted is reported when the session ends"}
	ruleEnd         = rule{"end", "session/SPEC.md 9", "a code is taken by its range: resume, log in, or stop"}
	rulePutOff      = rule{"put off", "session/SPEC.md 8.2", "the app is told that the server said no for now, and until when"}
	ruleMoving      = rule{"moving", "session/SPEC.md 3.11", "the app is told of a MOVE, and the address is tried first once its delay is over"}
	ruleLeaving     = rule{"leaving", "session/SPEC.md 8.7", "DETACH goes before a pause, BYE before the end, and then the link is closed"}
	ruleFull        = rule{"full", "session/SPEC.md 4.9", "a client refuses a packet beyond its cap, and never drops one that it took"}
	ruleCalm        = rule{"calm", "session/SPEC.md 8.1", "a client does nothing that nothing asked it to do"}
)

// story is what has happened in a script so far, as far as the rules look at
// it. It follows what was expected, which is what happened until the first
// difference.
type story struct {
	greeted bool   // the present link
	open    bool   // it carries the session
	held    bool   // the server holds
	ended   bool   // for good
	in      packet // the last that came
	arrived bool   // by the present command
	written int    // the highest seq written on this link
	acked   int    // the highest that the server has accepted, as it says
	random  time.Duration
}

// begin takes the command of a step.
func (s *story) begin(st *step) {
	s.arrived = false
	switch st.verb() {
	case "config":
		*s = story{random: s.random}
	case "up", "down", "dropped":
		s.greeted, s.open, s.held, s.written = false, false, false, 0
	case "in":
		p, err := parsePacket(st.rest())
		if err != nil {
			return
		}
		s.in, s.arrived = p, true
		switch p.kind {
		case codec.Greeting:
			s.greeted = true
		case codec.Heartbeat:
			s.held = s.open && p.flags&codec.Hold != 0
		case codec.Resumed:
			s.held, s.acked = field(p.body, 2) == "true", int(number(p.body, 1))
		case codec.Reset:
			s.held, s.acked = field(p.body, 3) == "true", int(number(p.body, 2))
		}
		if p.kind == codec.Heartbeat || p.kind.Counted() {
			s.acked = max(s.acked, int(p.ack))
		}
	}
}

// did takes a line that was as expected.
func (s *story) did(l *line) {
	switch l.verb {
	case "opened", "resumed", "reset":
		s.open = true
	case "cut", "broken", "lost":
		s.greeted, s.open, s.held, s.written = false, false, false, 0
	case "ending":
		s.ended = final(l.rest)
	case "out":
		if l.packet.kind.Counted() {
			s.written = max(s.written, l.packet.to)
		}
	}
}

// final reports whether the code that a line begins with says to stay away. The
// app's own goodbye does, too.
func final(rest string) bool {
	var code uint32
	_, _ = fmt.Sscan(rest, &code)
	return code >= 200 || code == 106 && !strings.Contains(rest, "by the server")
}

// broke names the rule that is broken by got in place of want. Either may be nil:
// nothing came, or nothing was expected.
func (s *story) broke(st *step, want, got *line) rule {
	for _, judge := range []func(*step, *line, *line) (rule, bool){s.deaths, s.packets, s.deliveries, s.links, s.news} {
		if r, ok := judge(st, want, got); ok {
			return r
		}
	}
	return about(st)
}

// about makes a rule of what a script is about.
func about(st *step) rule {
	section, text, ok := strings.Cut(st.about, ": ")
	if digits, isSpec := strings.CutPrefix(section, "SPEC "); ok && isSpec {
		return rule{strings.TrimSuffix(st.file, ".txt"), "session/SPEC.md " + digits, text}
	}
	return rule{strings.TrimSuffix(st.file, ".txt"), "session/SPEC.md 12", cmp.Or(st.about, "the script says what is expected")}
}

func is(l *line, verb string) bool { return l != nil && l.verb == verb }

func out(l *line, kinds ...codec.Kind) bool {
	return is(l, "out") && (len(kinds) == 0 || slices.Contains(kinds, l.packet.kind))
}

func counted(l *line) bool { return is(l, "out") && l.packet.kind.Counted() }

func beat(l *line, flags codec.Flags) bool {
	return out(l, codec.Heartbeat) && l.packet.flags&^codec.Hold == flags
}

// deaths judges when a link was taken for dead.
func (s *story) deaths(_ *step, want, got *line) (rule, bool) {
	early, late := is(got, "lost") && got.timed, is(want, "lost") && want.timed
	switch {
	case late && strings.HasSuffix(want.text, "stuck"):
		return ruleStuck, true
	case early || late:
		return ruleDead, true
	}
	return rule{}, false
}

// packets judges what was written.
func (s *story) packets(st *step, want, got *line) (rule, bool) {
	switch {
	case is(want, "undelivered"):
		return ruleReport, true
	case is(got, "out") && !s.greeted && !is(want, "out"):
		return ruleSilence, true
	case out(want, codec.Hello) && out(got, codec.Hello):
		return different(want, got, ruleLogin, ruleNonce, ruleOpening, ruleLogin, ruleLogin, ruleLogin, ruleAttempt), true
	case out(want, codec.Resume) && out(got, codec.Resume):
		return different(want, got, ruleSession, ruleAttempt, ruleRecv, ruleLowest, ruleProof, ruleCan), true
	case out(want, codec.Hello) && out(got, codec.Resume):
		return ruleGone, true
	case out(want, codec.Hello) && s.arrived && s.in.kind == codec.Refused:
		return ruleGone, true
	case out(want, codec.Resume) && out(got, codec.Hello):
		return ruleGivenUp, true
	case counted(got) && s.held:
		return ruleHold, true
	case out(want) && out(got) && want.packet.kind == got.packet.kind && want.packet.kind != codec.Heartbeat:
		return s.sameKind(want, got), true
	case out(want, codec.Heartbeat):
		return s.heartbeat(st, want, got), true
	case counted(got):
		return s.surplus(got), true
	case counted(want):
		return ruleLost, true
	case out(got, codec.Heartbeat):
		return s.uncalled(st, got), true
	case out(want, codec.Bye, codec.Detach) || out(got, codec.Bye, codec.Detach):
		return ruleLeaving, true
	}
	return rule{}, false
}

// different returns the rule of the first field of a body that differs.
func different(want, got *line, rules ...rule) rule {
	a, b := fields(want.packet.body), fields(got.packet.body)
	for i, r := range rules {
		switch {
		case i >= len(a) && i >= len(b):
		case i >= len(a) || i >= len(b) || a[i] != b[i]:
			return r
		}
	}
	return ruleControl
}

// sameKind judges a packet that is not quite the one that was expected.
func (s *story) sameKind(want, got *line) rule {
	a, b := want.packet, got.packet
	switch {
	case !a.kind.Counted():
		return ruleLeaving
	case b.to < a.from && b.to <= max(s.written, s.acked):
		return ruleAgain
	case a.from == b.from && a.body == b.body && a.ack == b.ack && b.to > a.to:
		return s.surplus(got)
	case a.from == b.from && a.body == b.body && a.ack == b.ack:
		return ruleLost
	case a.from == b.from && a.body == b.body:
		return ruleAck
	case a.body == b.body:
		return ruleSeq
	}
	return ruleLost
}

// surplus judges a counted packet that was not expected.
func (s *story) surplus(got *line) rule {
	if got.packet.from <= max(s.written, s.acked) {
		return ruleAgain
	}
	return ruleWindow
}

// heartbeat judges what came, or did not, in place of a heartbeat.
func (s *story) heartbeat(st *step, want, got *line) rule {
	if out(got, codec.Heartbeat) && want.packet.flags&^codec.Hold == got.packet.flags&^codec.Hold {
		switch a, b := want.packet, got.packet; {
		case a.flags != b.flags:
			return ruleHoldFlag
		case want.timed && want.at != got.at:
			return rulePing
		case a.ack != b.ack:
			return ruleAck
		case a.flags&codec.Echo != 0:
			return ruleEcho
		case a.flags&codec.EchoWanted != 0:
			return rulePingID
		}
	}
	switch {
	case s.arrived && (s.in.kind == codec.Welcome || s.in.kind == codec.Resumed || s.in.kind == codec.Reset):
		return ruleConfirm
	case beat(want, codec.Echo):
		return ruleEcho
	case want.packet.flags&codec.EchoWanted != 0 && asksFirst[st.verb()]:
		return ruleProbe
	case beat(want, codec.EchoWanted):
		return rulePing
	case st.verb() == "hold":
		return ruleHoldFlag
	case s.arrived && s.in.kind.Counted():
		return ruleAckNow
	case counted(got):
		return s.surplus(got)
	}
	return ruleConfirm
}

// asksFirst are the commands after which a client does not trust its link.
var asksFirst = map[string]bool{"stall": true, "sleep": true, "hurry": true}

// uncalled judges a heartbeat that was not expected.
func (s *story) uncalled(st *step, got *line) rule {
	switch {
	case beat(got, codec.Echo):
		return ruleEcho
	case asksFirst[st.verb()]:
		return ruleProbe
	case beat(got, codec.EchoWanted):
		return rulePing
	case s.arrived && s.in.kind.Counted():
		return ruleAckNow
	}
	return ruleCalm
}

// deliveries judges what the app was given, and why a link was taken for broken.
func (s *story) deliveries(st *step, want, got *line) (rule, bool) {
	switch {
	case is(want, "broken"):
		switch want.rest {
		case "gap":
			if s.arrived && s.in.kind == codec.Heartbeat {
				return ruleAudit, true
			}
			return ruleGap, true
		case "unsent":
			return ruleUnsent, true
		case "fenced":
			return ruleFence, true
		case "control":
			return ruleControl, true
		}
		return ruleKind, true
	case is(got, "broken"):
		if s.arrived && s.in.kind.Counted() {
			return ruleTwice, true
		}
		return ruleKind, true
	case is(want, "deliver"):
		if is(got, "deliver") && want.packet.from == got.packet.from && got.packet.to > want.packet.to {
			return ruleTwice, true
		}
		return ruleUndelivered, true
	case is(got, "deliver"):
		return ruleTwice, true
	case is(want, "undelivered") || is(got, "undelivered"):
		return ruleReport, true
	}
	return rule{}, false
}

// links judges when a link was opened and left.
func (s *story) links(st *step, want, got *line) (rule, bool) {
	switch {
	case is(got, "dial") && s.ended:
		return ruleFinal, true
	case is(want, "dial") || is(got, "dial"):
		return ruleDelay, true
	case is(want, "cut") && want.timed || is(got, "cut") && got.timed:
		return ruleDeadline, true
	case is(want, "cut"):
		return ruleLeaving, true
	}
	return rule{}, false
}

// news judges what the app was told.
func (s *story) news(_ *step, want, got *line) (rule, bool) {
	l := want
	if l == nil {
		l = got
	}
	switch l.verb {
	case "ending", "lost":
		return ruleEnd, true
	case "put off":
		return rulePutOff, true
	case "moving", "at":
		return ruleMoving, true
	case "full", "closed", "refused":
		return ruleFull, true
	case "opened", "resumed", "reset":
		return ruleEnd, true
	}
	return rule{}, false
}

// difference is where a client first did something else than a script says.
type difference struct {
	step      *step
	want, got string // empty: nothing
	rule      rule
}

func (d *difference) String() string {
	return fmt.Sprintf("%s: after %q\n\twant %s\n\tgot  %s\n\t%v\n\tthe script: %s",
		d.step.where(), short(d.step.command), cmp.Or(short(d.want), "nothing"), cmp.Or(short(d.got), "nothing"), d.rule, d.step.about)
}

// longest is how much of a line is shown.
const longest = 240

func short(text string) string {
	if len(text) > longest {
		return text[:longest] + "..."
	}
	return text
}
