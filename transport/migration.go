// SPDX-License-Identifier: MIT

package transport

import (
	crand "crypto/rand"
	"io"

	"github.com/lifeline-go/lifeline/transport/seal"
)

// otherPath takes note that an authentic datagram of the link took another path than
// the one in use: transport/seal/SPEC.md 7.
func (k *sealedLink) otherPath(p path, size int, newest bool) {
	l, s := k.loop, k.needTransient()
	if newest {
		s.local = p.local
	}
	token, ask := s.paths.Received(l.now, p.addr, size, newest, crand.Reader)
	if ask && s.paths.AllowSend(l.now, p.addr, seal.Overhead+9) {
		l.stats.challenges.Add(1)
		k.sendControl(p, seal.Control{Kind: seal.ControlChallenge, Token: token}, 0)
	}
	l.touch(&k.Link) // what waits goes to both, and a side that is not needed goes back
}

// sendControl sends a control datagram along a path, and nowhere else.
func (k *sealedLink) sendControl(p path, m seal.Control, size int) {
	c := k.common()
	slot := c.slot()
	if slot == nil {
		return // a peer that misses it asks again
	}
	d, err := k.seal.Seal(m.Append(slot[:seal.HeaderSize], size), seal.TypeControl)
	if err != nil {
		k.Close(errExhausted)
		return
	}
	k.sent += uint64(len(d))
	c.out.Push(p.addr, p.local, len(d))
}

// control takes an authentic control datagram.
func (k *sealedLink) control(p path, plain []byte) {
	c, err := seal.ParseControl(plain)
	if err != nil {
		k.loop.stats.protocol.Add(1)
		k.Close(err)
		return
	}
	switch c.Kind {
	case seal.ControlChallenge:
		// Not longer than the question, of which any host can have sent a copy.
		k.sendControl(p, seal.Control{Kind: seal.ControlResponse, Token: c.Token}, 0)
	case seal.ControlResponse:
		k.pathResponse(p, c.Token)
	case seal.ControlClose:
		k.Close(io.EOF)
	}
}

// pathResponse takes the answer to a challenge: to one that asked whether the peer
// has moved, or to one that asked whether a large datagram arrives.
func (k *sealedLink) pathResponse(p path, token [8]byte) {
	l, s := k.loop, k.transient
	if s == nil {
		return
	}
	if p.addr == k.addr && k.state&stateValidated != 0 {
		if step, ok := s.mtu.confirmed(l.now, mtuStep(k.kcp.MTU()), k.kcp.Retransmits(), token); ok {
			k.setMTU(step)
		}
		return
	}
	if !s.paths.Validate(l.now, p.addr, token) {
		return
	}
	if k.state |= stateValidated; p.addr == k.addr {
		return // it was the address in use, and is validated now
	}
	l.stats.migrated.Add(1)
	old := k.addr
	k.addr, k.local = p.addr, p.local
	l.t.admission.addrs.move(old.Addr(), p.addr.Addr(), l.now)
	k.kcp.Moved()
	s.mtu = mtuSearch{}
	l.touch(&k.Link)
	l.callMigrate(&k.Link, old)
}

// probeMTU is called when the link had to cut a batch into several datagrams.
func (k *sealedLink) probeMTU() {
	if k.checkMTU() {
		return
	}
	s := &k.needTransient().mtu
	if size := s.probe(k.loop.now, mtuStep(k.kcp.MTU())); size > 0 {
		k.loop.stats.mtuProbes.Add(1)
		k.sendControl(path{k.addr, k.local}, seal.Control{Kind: seal.ControlChallenge, Token: s.token}, size-seal.Overhead)
	}
}

// checkMTU makes datagrams small again where the path carries the present size no more, and
// reports whether that is so. Without it a link that never has more to say than fits into one
// would lose each of them.
func (k *sealedLink) checkMTU() (lost bool) {
	step := mtuStep(k.kcp.MTU())
	if lost = step > 0 && k.transient.mtu.lost(k.loop.now, step, k.kcp.Retransmits()); lost {
		k.setMTU(0)
	}
	return lost
}

// setMTU says how much of KCP goes into one datagram.
func (k *sealedLink) setMTU(step int) {
	_ = k.kcp.SetMTU(datagramSizes[step] - seal.MaxDatagram + sealedCut)
}
