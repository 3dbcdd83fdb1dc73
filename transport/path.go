// SPDX-License-Identifier: MIT

package transport

import (
	crand "crypto/rand"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// pathOf takes note that an authentic datagram of k came from an address
// other than the one in use: transport/seal/SPEC.md 7.
func (l *Loop) pathOf(k *Link, from netip.AddrPort, size int, newest bool) {
	s := l.transientOf(k)
	if newest {
		s.local = l.asked
	}
	token, ask := s.paths.Received(l.now, from, size, newest, crand.Reader)
	if ask && s.paths.AllowSend(l.now, from, seal.Overhead+9) {
		l.stats.challenges.Add(1)
		l.sendControl(k, from, l.asked, seal.Control{Kind: seal.ControlChallenge, Token: token}, 0)
	}
	l.touch(k) // what waits goes to both, and a side that is not needed goes back
}

// sendControl sends a control datagram to an address, and nowhere else.
func (l *Loop) sendControl(k *Link, to netip.AddrPort, from backend.Local, c seal.Control, size int) {
	slot := l.slot(sealedWire)
	if slot == nil {
		return // who misses it asks again
	}
	d, err := k.sealed.Seal(c.Append(slot[:seal.HeaderSize], size), seal.TypeControl)
	if err != nil {
		k.Close(errExhausted)
		return
	}
	k.sent += uint64(len(d))
	l.out[sealedWire].Push(to, from, len(d))
}

// control takes an authentic control datagram.
func (l *Loop) control(k *Link, from netip.AddrPort, plain []byte) {
	c, err := seal.ParseControl(plain)
	if err != nil {
		l.stats.protocol.Add(1)
		k.Close(err)
		return
	}
	switch c.Kind {
	case seal.ControlChallenge:
		// Not longer than the question, whoever sent a copy of that.
		l.sendControl(k, from, l.asked, seal.Control{Kind: seal.ControlResponse, Token: c.Token}, 0)
	case seal.ControlResponse:
		l.pathResponse(k, from, c.Token)
	case seal.ControlClose:
		k.Close(io.EOF)
	}
}

// pathResponse takes the answer to a challenge: to one that asked whether the peer
// has moved, or to one that asked whether a large datagram arrives.
func (l *Loop) pathResponse(k *Link, from netip.AddrPort, token [8]byte) {
	s := k.sealed.transient
	if s == nil {
		return
	}
	if from == k.addr && k.state&stateValidated != 0 {
		l.mtuConfirmed(k, token)
		return
	}
	if !s.paths.Validate(l.now, from, token) {
		return
	}
	if k.state |= stateValidated; from == k.addr {
		return // it was the address in use, and is validated now
	}
	l.stats.migrated.Add(1)
	old := k.addr
	k.addr, k.local = from, l.asked
	l.t.admission.addrs.move(old.Addr(), from.Addr())
	k.kcp.Moved()
	s.mtu = mtuSearch{}
	l.touch(k)
	l.callMigrate(k, old)
}

func (l *Loop) callMigrate(k *Link, from netip.AddrPort) {
	defer l.guard(k)
	l.h.OnMigrate(k, from)
}

// datagramSizes are what a path may carry, smallest first: what all do, IPv6
// with tunnels around it, IPv6 on Ethernet, IPv4 on Ethernet.
var datagramSizes = [...]int{seal.MaxDatagram, 1280, 1392, 1452, backend.SlotSize}

const (
	mtuProbeWait   = time.Second      // for the answer to a probe
	maxMTUProbes   = 3                // probes of one size
	mtuSearchAgain = 10 * time.Minute // after the largest size was found
	maxFailures    = 4                // retransmissions before a larger size is given up
)

// mtuSearch looks for a larger datagram that a link's path carries, while the
// link has more to say than fits into the present one. A challenge that is
// padded to the size in question asks; nothing waits for the answer. The zero
// value has not begun.
type mtuSearch struct {
	token [8]byte
	at    time.Duration // no probe before
	step  uint8         // 1 + index in datagramSizes of the size that is asked for
	tries uint8
	seen  uint32 // the link's retransmissions when the present size was found
}

// probeMTU is called when a link had to cut a batch into several datagrams.
func (l *Loop) probeMTU(k *Link) {
	s := &l.transientOf(k).mtu
	step := mtuStep(k.kcp.MTU())
	if step > 0 && k.kcp.Retransmits()-s.seen > maxFailures {
		// Loss may have other reasons, but then nothing is lost by this.
		l.setMTU(k, 0)
		*s = mtuSearch{at: l.now + mtuSearchAgain, step: 1}
		return
	}
	if l.now < s.at {
		return
	}
	if int(s.step) != step+2 { // another size than the one asked for last
		s.step, s.tries = uint8(step+2), 0
	}
	if step+1 >= len(datagramSizes) || s.tries >= maxMTUProbes {
		s.at, s.tries = l.now+mtuSearchAgain, 0
		return
	}
	s.tries++
	s.at = l.now + mtuProbeWait
	putToken(&s.token)
	l.stats.mtuProbes.Add(1)
	l.sendControl(k, k.addr, k.local, seal.Control{Kind: seal.ControlChallenge, Token: s.token}, datagramSizes[step+1]-seal.Overhead)
}

// putToken draws what only needs to differ from what was drawn before.
func putToken(t *[8]byte) {
	v := rand.Uint64()
	for i := range t {
		t[i] = byte(v >> (8 * i))
	}
}

// mtuConfirmed takes the answer to a probe.
func (l *Loop) mtuConfirmed(k *Link, token [8]byte) {
	s := &k.sealed.transient.mtu
	if s.tries == 0 || s.token != token || int(s.step) != mtuStep(k.kcp.MTU())+2 {
		return
	}
	l.setMTU(k, int(s.step)-1)
	*s = mtuSearch{at: l.now, step: s.step, seen: k.kcp.Retransmits()}
}

// setMTU says how much of KCP goes into one datagram of a link.
func (l *Loop) setMTU(k *Link, step int) {
	_ = k.kcp.SetMTU(datagramSizes[step] - seal.MaxDatagram + sealedCut)
}

// mtuStep is the index in datagramSizes of a link's present size.
func mtuStep(mtu int) int {
	for i, size := range datagramSizes {
		if mtu <= size-seal.MaxDatagram+sealedCut {
			return i
		}
	}
	return len(datagramSizes) - 1
}
