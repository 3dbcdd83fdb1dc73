// SPDX-License-Identifier: MIT

package load

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
	"github.com/lifeline-go/lifeline/session"
)

// Players of several servers: they go where they are sent, and to the next server where
// one does not answer. They log in by name, so that servers can tell whose sessions are
// whose.

// UserIndex returns the index of the player that has logged in as user, -1 if it is none.
func UserIndex(user string) int {
	var i int
	if n, err := fmt.Sscanf(user, "p%d", &i); n != 1 || err != nil {
		return -1
	}
	return i
}

// UserName is the name by which player i logs in.
func UserName(i int) string { return fmt.Sprint("p", i) }

// way is where a player dials.
type way struct {
	at      int            // in Config.Servers
	addr    netip.AddrPort // that was dialled last
	tried   bool           // since the session was last up
	astray  bool           // the address that it was sent to was tried
	dialled time.Duration  // for the first time since the session was last up
}

// address returns where p dials next.
func (f *Fleet) address(p *player) netip.AddrPort {
	w, all := &p.way, f.cfg.Servers
	if len(all) == 0 {
		return f.cfg.Server
	}
	sent, ok := f.sentTo(p)
	switch first := !w.tried; {
	case first && p.state == isAway && f.cfg.Wrong:
		w.at = (w.at + 1) % len(all)
		w.addr = all[w.at]
	case ok && !w.astray:
		w.astray = true
		w.addr = sent
	default:
		if !first {
			w.at = (w.at + 1) % len(all)
		}
		w.astray = false
		w.addr = all[w.at]
	}
	if !w.tried {
		w.tried, w.dialled = true, f.now
	}
	return w.addr
}

// sentTo returns where the server has sent p.
func (f *Fleet) sentTo(p *player) (netip.AddrPort, bool) {
	for url := range strings.FieldsSeq(p.session.Address()) {
		if text, ok := strings.CutPrefix(url, f.cfg.Carrier+"://"); ok {
			a, err := netip.ParseAddrPort(text)
			return a, err == nil
		}
	}
	return netip.AddrPort{}, false
}

// arrived notes that the session of p is up where it has dialled.
func (f *Fleet) arrived(p *player) {
	w := &p.way
	if i := slices.Index(f.cfg.Servers, w.addr); i >= 0 {
		w.at = i
	}
	w.tried, w.astray = false, false
}

// reach gives p a new link, to whichever server answers.
func (f *Fleet) reach(p *player) error {
	err := f.link(p)
	for tries := len(f.cfg.Servers); err != nil && tries > 0; tries-- {
		err = f.link(p)
	}
	return err
}

// unreached takes note that there is nothing where p has dialled.
func (f *Fleet) unreached(p *player, err error) {
	if !f.cfg.Return {
		f.lose(p, err)
		return
	}
	p.session.LinkDown(f.now)
	f.changes(p)
	f.schedule(p)
}

// redirect gives p a new socket for datagrams, to where p dials: what the server before
// has sent stays in the old one.
func (f *Fleet) redirect(p *player) error {
	if len(f.cfg.Servers) == 0 || f.streams {
		return nil
	}
	f.closeSocket(p.sock)
	if err := f.openSocket(p.index); err != nil {
		return err
	}
	return unix.Connect(p.sock.fd, sockaddr(f.address(p)))
}

// gone takes note that the session of p is over, and p logs in anew.
func (f *Fleet) gone(p *player, ch session.Change) {
	if p.state == isOpen {
		p.state, p.lost = isAway, f.now
		f.away++
	}
	p.pushed = 0
	f.uncertain(p, ch)
	f.unanswered += p.asked - p.answered
	p.answered = p.asked
}

// uncertain counts what p was told that the server may not have.
func (f *Fleet) uncertain(p *player, ch session.Change) {
	for _, pk := range ch.Undelivered {
		if !isWish(pk) {
			p.undelivered++
		}
	}
	p.forget()
}

// reset takes note that the stream of p begins anew.
func (f *Fleet) reset(p *player, ch session.Change) {
	f.resets++
	f.uncertain(p, ch)
	p.pushed, p.skips = 0, f.cfg.Relogin
}

// skip gives up the requests before id, whose answers a reset has taken along.
func (f *Fleet) skip(p *player, id uint64) {
	if p.skips && id > p.answered+1 && id <= p.asked {
		f.unanswered += id - 1 - p.answered
		p.answered = id - 1
	}
	p.skips = false
}

// Standing is what one player has seen.
type Standing struct {
	Asked       uint64 // requests
	Pushed      uint64 // the number of the server's latest message
	Undelivered uint64 // requests that it was told may not have arrived
}

// Standing returns what player i has seen.
func (f *Fleet) Standing(i int) Standing {
	p := &f.players[i]
	return Standing{p.asked, p.pushed, p.undelivered}
}

// Logins returns how many players had to log in anew, and Unanswered how many requests got no
// answer because of that or of a reset.
func (f *Fleet) Logins() int        { return f.logins }
func (f *Fleet) Unanswered() uint64 { return f.unanswered }

// SetServers changes where the players may go.
func (f *Fleet) SetServers(all []netip.AddrPort) { f.cfg.Servers = all }

// Listen begins to measure how long each player hears nothing of the game, and how long
// those that lose their link need to be back.
func (f *Fleet) Listen() {
	f.clock()
	f.cut = f.now
	f.returns.Reset()
	f.redials.Reset()
	f.aways.Reset()
	for i := range f.players {
		f.players[i].heard, f.players[i].silence = f.now, 0
	}
}

// hear notes that p hears something of the game.
func (f *Fleet) hear(p *player) {
	p.silence = max(p.silence, f.now-p.heard)
	p.heard = f.now
}

// Silences tells how long each player heard nothing, at the longest since Listen.
func (f *Fleet) Silences() *chart.Histogram {
	f.clock()
	h := new(chart.Histogram)
	for i := range f.players {
		f.hear(&f.players[i])
		h.Add(f.players[i].silence)
	}
	return h
}

// Redials tells how long it took from a player's first attempt to come back until it was.
func (f *Fleet) Redials() *chart.Histogram { return &f.redials }

// Aways tells how long each player was without its session, from losing the link on.
func (f *Fleet) Aways() *chart.Histogram { return &f.aways }

// Openings tells how long each login took, from the dial on.
func (f *Fleet) Openings() *chart.Histogram { return &f.openings }
