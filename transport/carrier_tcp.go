// SPDX-License-Identifier: MIT

package transport

import (
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// tcpLink is a link of TCP: frames follow each other, SPEC 2.
type tcpLink struct{ streamLink }

func serveTCP(l *Loop) error {
	l.accepts[TCP] = func() streamConn { return &tcpLink{} }
	return nil
}

func (k *tcpLink) Data(in backend.Inbound) { k.arrived(k, in) }

func (k *tcpLink) flush() bool { return k.flushAs(k) }

func (k *tcpLink) forget(err error) { k.leave(k, err) }

func (k *tcpLink) asks() bool                        { return false }
func (k *tcpLink) request(backend.Inbound) bool      { return true }
func (k *tcpLink) grant(backend.Inbound) (g granted) { return g }
func (k *tcpLink) pack(out []byte) []byte            { return out }

// data takes the frames that are whole. One that trickles in is parsed once
// its length is known, and then not again before all of it is here.
func (k *tcpLink) data(in backend.Inbound, n int) {
	l := k.loop
	k.received = l.now
	if n < k.need {
		return
	}
	b, err := in.Peek(n)
	if err != nil {
		k.Close(err)
		return
	}
	used := l.frames(&k.Link, b, 0)
	k.need = 0
	if used < n {
		// frames has refused what is too large, so this bounds the rest.
		k.need, _ = codec.FrameSize(b[used:], l.t.cfg.maxBody())
	}
	k.take(in, used)
}
