// SPDX-License-Identifier: MIT

package transport

import (
	crand "crypto/rand"
	"io"
	"net/netip"

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

// probeMTU is called when a link had to cut a batch into several datagrams.
func (l *Loop) probeMTU(k *Link) {
	s := &l.transientOf(k).mtu
	size, lost := s.probe(l.now, mtuStep(k.kcp.MTU()), k.kcp.Retransmits())
	if lost {
		l.setMTU(k, 0)
	}
	if size > 0 {
		l.stats.mtuProbes.Add(1)
		l.sendControl(k, k.addr, k.local, seal.Control{Kind: seal.ControlChallenge, Token: s.token}, size-seal.Overhead)
	}
}

// mtuConfirmed takes the answer to a probe.
func (l *Loop) mtuConfirmed(k *Link, token [8]byte) {
	if step, ok := k.sealed.transient.mtu.confirmed(l.now, mtuStep(k.kcp.MTU()), k.kcp.Retransmits(), token); ok {
		l.setMTU(k, step)
	}
}

// setMTU says how much of KCP goes into one datagram of a link.
func (l *Loop) setMTU(k *Link, step int) {
	_ = k.kcp.SetMTU(datagramSizes[step] - seal.MaxDatagram + sealedCut)
}
