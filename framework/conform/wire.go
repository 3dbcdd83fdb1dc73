// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport"
)

// carriers are what a script can be played on, by their names in addresses.
var carriers = map[string]transport.Carrier{
	"tcp": transport.TCP, "stcp": transport.SealedTCP, "ws": transport.WebSocket, "plain-kcp": transport.PlainKCP, "kcp": transport.KCP,
}

// wire is a server that does nothing by itself. What happens to its links comes
// out of happened, in order.
type wire struct {
	*transport.Transport
	carrier  transport.Carrier
	happened chan happening
}

// peer is one link. Owned by its loop, except for link and nonce, which do not
// change, and left.
type peer struct {
	link  *transport.Link
	nonce [16]byte // of a sealed link
	left  bool     // it is over for the script, which owns it
	spoke bool     // the client has written more than what opens a link; the script owns it
}

// happening is one thing that a client did on the network.
type happening struct {
	peer *peer
	what happened
	at   time.Time
	k    codec.Packet // of came
}

type happened uint8

const (
	opened happened = iota
	came
	closed
)

// waiting bounds what a client may do before it is looked at.
const waiting = 1 << 14

func listen(carrier string) (*wire, error) {
	const local = "127.0.0.1:0"
	w := &wire{carrier: carriers[carrier], happened: make(chan happening, waiting)}
	cfg := transport.Config{Loops: 1, MaxBody: 1 << 20, Greeting: []byte{1}, Logger: slog.New(slog.DiscardHandler)}
	switch w.carrier {
	case transport.TCP:
		cfg.TCP = local
	case transport.SealedTCP:
		cfg.SealedTCP = local
	case transport.WebSocket:
		cfg.WebSocket = local
	case transport.PlainKCP:
		cfg.PlainKCP = local
	case transport.KCP:
		cfg.KCP = local
	}
	var err error
	w.Transport, err = transport.Start(cfg, &listener{w: w})
	return w, err
}

func (w *wire) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = w.Stop(ctx)
}

// addr returns where a client finds it.
func (w *wire) addr() string {
	return w.carrier.String() + "://" + netip.AddrPort(w.Addr(w.carrier)).String()
}

// sealed reports whether a handshake greets before any packet does.
func (w *wire) sealed() bool {
	return w.carrier == transport.KCP || w.carrier == transport.SealedTCP
}

// write sends bytes, whole frames or not.
func (p *peer) write(b []byte) {
	b = bytes.Clone(b)
	_ = p.link.Loop().Post(task(func() { p.link.ValidateAddress(); p.link.Write(b) }))
}

// leave closes the link.
func (p *peer) leave() {
	p.left = true
	_ = p.link.Loop().Post(task(func() {
		if p.link.Carrier() == transport.KCP {
			p.link.Finish() // Close says nothing there
			return
		}
		p.link.Close(io.EOF)
	}))
}

// task is work for a loop.
type task func()

func (t task) Run(*transport.Loop) { t() }

// listener tells a wire what happens.
type listener struct{ w *wire }

var errFlood = errors.New("conform: the client does more than anybody can look at")

func (l *listener) tell(h happening) {
	h.at = time.Now()
	select {
	case l.w.happened <- h:
	default:
		h.peer.link.Close(errFlood)
	}
}

func (l *listener) OnLoop(*transport.Loop) {}

func (l *listener) OnOpen(k *transport.Link, nonce [16]byte) {
	p := &peer{link: k, nonce: nonce}
	k.Value = p
	l.tell(happening{peer: p, what: opened})
}

func (l *listener) OnPacket(k *transport.Link, p codec.Packet, _ transport.Arrival) {
	p.Body = bytes.Clone(p.Body)
	l.tell(happening{peer: k.Value.(*peer), what: came, k: p})
}

func (l *listener) OnClose(k *transport.Link, _ error) {
	l.tell(happening{peer: k.Value.(*peer), what: closed})
}

func (l *listener) OnWritable(*transport.Link)                {}
func (l *listener) OnMigrate(*transport.Link, netip.AddrPort) {}
func (l *listener) OnTimer(*transport.Loop)                   {}
func (l *listener) OnBatch(*transport.Loop)                   {}
