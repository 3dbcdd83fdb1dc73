// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

const scriptsDir = "../../session/testdata/scripts"

func theScripts(t *testing.T) []script {
	t.Helper()
	scripts, err := readScripts(os.DirFS(scriptsDir))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	return scripts
}

// first plays all scripts and returns the first difference.
func first(t *testing.T, scripts []script, p player) *difference {
	t.Helper()
	for i := range scripts {
		d, err := play(&scripts[i], p)
		if err != nil {
			t.Fatal(err)
		}
		if d != nil {
			return d
		}
	}
	return nil
}

// fault is what is wrong with a client.
type fault struct {
	in         func(p *goPlayer, k *codec.Packet)                           // before the client gets a packet
	received   func(p *goPlayer, k codec.Packet, deliver *bool, err *error) // after it did
	out        func(p *goPlayer, k codec.Packet) []codec.Packet             // what it writes in place of a packet
	late       time.Duration                                                // it looks that much later than it should
	noDelay    bool                                                         // it comes back at once
	noReport   bool                                                         // it does not tell what was not delivered
	talksFirst bool                                                         // it does not wait for the GREETING
}

// memory is what faults remember.
type memory struct {
	attempt any  // of the first link
	asked   bool // a HELLO has no answer yet
	pings   uint16
}

// edit changes one field of a body.
func edit(k codec.Packet, i int, change func(any) any) codec.Packet {
	var v []any
	if err := codec.DecodeBody(k.Body, &v); err != nil || i >= len(v) {
		return k
	}
	v[i] = change(v[i])
	k.Body, _ = codec.AppendBody(nil, v)
	return k
}

func more(n int64) func(any) any {
	return func(v any) any {
		old, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil {
			return v
		}
		return old + n
	}
}

func always(v any) func(any) any { return func(any) any { return v } }

// write makes a fault of one that changes each packet of a kind.
func write(kind codec.Kind, change func(p *goPlayer, k codec.Packet) codec.Packet) fault {
	return fault{out: func(p *goPlayer, k codec.Packet) []codec.Packet {
		if k.Kind == kind {
			k = change(p, k)
		}
		return []codec.Packet{k}
	}}
}

// omit makes a fault of one that does not write some packets.
func omit(these func(p *goPlayer, k codec.Packet) bool) fault {
	return fault{out: func(p *goPlayer, k codec.Packet) []codec.Packet {
		if these(p, k) {
			return nil
		}
		return []codec.Packet{k}
	}}
}

// swallow makes a fault of one that takes no notice of an error.
func swallow(is error, deliver bool) fault {
	return fault{received: func(_ *goPlayer, _ codec.Packet, d *bool, err *error) {
		if errors.Is(*err, is) {
			*err, *d = nil, deliver
		}
	}}
}

func opens(k codec.Kind) bool {
	return k == codec.Welcome || k == codec.Resumed || k == codec.Reset
}

// planted are clients that break a rule each, and the rule.
var planted = []struct {
	name  string
	fault fault
	rule  rule
}{
	{"acknowledges one too few", fault{out: func(_ *goPlayer, k codec.Packet) []codec.Packet {
		k.Ack -= min(k.Ack, 1)
		return []codec.Packet{k}
	}}, ruleAck},
	{"acknowledges with the next heartbeat only", omit(func(p *goPlayer, k codec.Packet) bool {
		return k.Kind == codec.Heartbeat && k.Flags == 0 && p.in.Kind.Counted()
	}), ruleAckNow},
	{"pings late", fault{late: 3 * time.Second}, rulePing},
	{"pings with another id each time", write(codec.Heartbeat, func(p *goPlayer, k codec.Packet) codec.Packet {
		if k.Flags&codec.EchoWanted != 0 {
			p.pings++
			k.Seq += p.pings - 1
		}
		return k
	}), rulePingID},
	{"does not echo", omit(func(_ *goPlayer, k codec.Packet) bool { return k.Flags&codec.Echo != 0 }), ruleEcho},
	{"echoes without the id", write(codec.Heartbeat, func(_ *goPlayer, k codec.Packet) codec.Packet {
		if k.Flags&codec.Echo != 0 {
			k.Seq = 0
		}
		return k
	}), ruleEcho},
	{"does not confirm its link", omit(func(p *goPlayer, k codec.Packet) bool {
		return k.Kind == codec.Heartbeat && opens(p.in.Kind)
	}), ruleConfirm},
	{"talks before the greeting", fault{talksFirst: true}, ruleSilence},
	{"repeats no nonce", write(codec.Hello, func(_ *goPlayer, k codec.Packet) codec.Packet {
		return edit(k, 1, always(make([]byte, 16)))
	}), ruleNonce},
	{"logs in anew though the answer was lost", fault{
		in: func(p *goPlayer, k *codec.Packet) {
			p.asked = p.asked && k.Kind != codec.Welcome && k.Kind != codec.Refused
		},
		out: func(p *goPlayer, k codec.Packet) []codec.Packet {
			if k.Kind == codec.Hello && p.asked {
				k = edit(k, 2, always([]byte("another opening!")))
			}
			p.asked = p.asked || k.Kind == codec.Hello
			return []codec.Packet{k}
		},
	}, ruleOpening},
	{"resumes with a stale attempt", write(codec.Resume, func(p *goPlayer, k codec.Packet) codec.Packet {
		return edit(k, 1, func(v any) any {
			if p.attempt == nil {
				p.attempt = v
			}
			return p.attempt
		})
	}), ruleAttempt},
	{"resumes with a wrong count", write(codec.Resume, func(_ *goPlayer, k codec.Packet) codec.Packet { return edit(k, 2, more(1)) }), ruleRecv},
	{"forgets what it can send again", write(codec.Resume, func(_ *goPlayer, k codec.Packet) codec.Packet { return edit(k, 3, more(1)) }), ruleLowest},
	{"proves for another nonce", write(codec.Resume, func(_ *goPlayer, k codec.Packet) codec.Packet {
		return edit(k, 4, always(make([]byte, 32)))
	}), ruleProof},
	{"does not say what it can", write(codec.Resume, func(_ *goPlayer, k codec.Packet) codec.Packet { return edit(k, 5, always(0)) }), ruleCan},
	{"sends again what a lost server may have handled", fault{in: func(_ *goPlayer, k *codec.Packet) {
		if k.Kind == codec.Reset {
			*k = edit(*k, 7, always(false))
		}
	}}, ruleReport},
	{"hears links that it left", swallow(session.ErrFenced, true), ruleFence},
	{"answers twice", fault{out: func(_ *goPlayer, k codec.Packet) []codec.Packet {
		if k.Kind.Counted() {
			return []codec.Packet{k, k}
		}
		return []codec.Packet{k}
	}}, ruleAgain},
	{"numbers from two", fault{out: func(_ *goPlayer, k codec.Packet) []codec.Packet {
		if k.Kind.Counted() {
			k.Seq++
		}
		return []codec.Packet{k}
	}}, ruleSeq},
	{"writes again what was accepted", fault{in: func(_ *goPlayer, k *codec.Packet) {
		if k.Kind == codec.Resumed {
			*k = edit(*k, 1, func(v any) any {
				if fmt.Sprint(v) == "0" {
					return v
				}
				return more(-1)(v)
			})
		}
	}}, ruleAgain},
	{"does not write again", omit(func(p *goPlayer, k codec.Packet) bool { return k.Kind.Counted() && p.in.Kind == codec.Resumed }), ruleLost},
	{"writes while it is held", fault{in: func(_ *goPlayer, k *codec.Packet) { k.Flags &^= codec.Hold }}, ruleHold},
	{"holds in secret", write(codec.Heartbeat, func(_ *goPlayer, k codec.Packet) codec.Packet {
		k.Flags &^= codec.Hold
		return k
	}), ruleHoldFlag},
	{"writes beyond the window", fault{in: func(_ *goPlayer, k *codec.Packet) {
		if k.Kind == codec.Welcome {
			*k = edit(*k, 4, func(v any) any {
				if p := v.([]any); number(mustText(p), 5) == 3 {
					p[5] = 4
				}
				return v
			})
		}
	}}, ruleWindow},
	{"delivers what came before", fault{received: func(_ *goPlayer, k codec.Packet, d *bool, err *error) {
		*d = *d || *err == nil && k.Kind.Counted()
	}}, ruleTwice},
	{"skips a gap", fault{received: func(_ *goPlayer, k codec.Packet, d *bool, err *error) {
		if k.Kind.Counted() && errors.Is(*err, session.ErrGap) {
			*err, *d = nil, true
		}
	}}, ruleGap},
	{"does not audit", fault{received: func(_ *goPlayer, k codec.Packet, d *bool, err *error) {
		if k.Kind == codec.Heartbeat && errors.Is(*err, session.ErrGap) {
			*err = nil
		}
	}}, ruleAudit},
	{"believes in acknowledgements of nothing", swallow(session.ErrUnsent, false), ruleUnsent},
	{"takes parameters that can't work", swallow(session.ErrControl, false), ruleControl},
	{"takes what is out of place", swallow(session.ErrKind, false), ruleKind},
	{"comes back at once", fault{noDelay: true}, ruleDelay},
	{"keeps a dead link", fault{in: func(_ *goPlayer, k *codec.Packet) {
		if k.Kind == codec.Tune {
			*k = edit(*k, 1, more(60_000))
		}
	}}, ruleDead},
	{"comes back though it was banned", fault{in: func(_ *goPlayer, k *codec.Packet) {
		if k.Kind == codec.Refused && number(mustBody(k.Body), 0) >= 200 {
			*k = edit(*k, 0, always(8))
		}
	}}, ruleEnd},
	{"does not log in on the link that refused it", omit(func(p *goPlayer, k codec.Packet) bool {
		return k.Kind == codec.Hello && p.in.Kind == codec.Refused
	}), ruleGone},
	{"keeps quiet about what was lost", fault{noReport: true}, ruleReport},
	{"leaves without goodbye", omit(func(_ *goPlayer, k codec.Packet) bool { return k.Kind == codec.Bye || k.Kind == codec.Detach }), ruleLeaving},
}

func mustBody(b []byte) string {
	text, err := bodyText(b)
	if err != nil {
		panic(err)
	}
	return text
}

func mustText(v any) string {
	b, err := codec.AppendBody(nil, v)
	if err != nil {
		panic(err)
	}
	return mustBody(b)
}

func TestGoClientPassesAllScripts(t *testing.T) {
	if d := first(t, theScripts(t), &goPlayer{}); d != nil {
		t.Fatal(d)
	}
}

func TestPlantedFaultsAreFoundByName(t *testing.T) {
	scripts := theScripts(t)
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			d := first(t, scripts, &goPlayer{fault: p.fault})
			switch {
			case d == nil:
				t.Fatal("it was not found")
			case d.rule != p.rule:
				t.Fatalf("it was taken for another fault than %q:\n%v", p.rule.name, d)
			}
			t.Log(d)
		})
	}
}
