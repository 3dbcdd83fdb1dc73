// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"github.com/lifeline-go/lifeline/codec"
)

// Carrier says what carries the frames of a link.
type Carrier uint8

// The carriers that this version serves.
const (
	PlainKCP Carrier = iota + 1 // stock KCP over UDP, no encryption
	TCP                         // frames on a TCP stream

	carriers // how many there are, plus one
)

var carrierNames = [carriers]string{"none", "plain-kcp", "tcp"}

// String returns the carrier's name as logs and metrics write it.
func (c Carrier) String() string {
	if c < carriers {
		return carrierNames[c]
	}
	return "unknown"
}

var (
	// ErrStopped is what Post returns once Stop was called, and why Stop closes a link.
	ErrStopped = errors.New("transport: stopped")
)

// Config says what to serve and how much of it. The zero value of every field
// works; a Config that names no address serves nothing but its loops.
type Config struct {
	PlainKCP     string // listen address of stock KCP, "host:port". If empty, none. Port 0 picks one port for all loops
	TCP          string // listen address of TCP. If empty, none
	Loops        int    // event loops. If zero, runtime.GOMAXPROCS(0)
	MaxBody      int    // largest body of a packet. If zero, codec.DefaultMaxBody
	MaxLinks     int    // most live links of all carriers
	SendBuffer   int    // most bytes that wait in one link. If zero, 64 KiB
	SocketBuffer int    // SO_RCVBUF and SO_SNDBUF to ask for. If zero, as large as allowed
	Logger       *slog.Logger
	Network      *Network // if not nil, everything runs on this in-memory network instead of sockets
}

// Handler is what a Transport calls. Every method is called on the loop that
// owns the link. A panic in one closes that link only.
type Handler interface {
	OnLoop(l *Loop)                   // once per loop, before anything else happens on it
	OnOpen(k *Link)                   // a link has come to life
	OnPacket(k *Link, p codec.Packet) // p.Body lives until the call returns
	OnWritable(k *Link)               // Room was small and has grown again
	OnClose(k *Link, err error)       // exactly once per OnOpen, never from within a method of Link or Loop; nothing follows
	OnTimer(l *Loop)                  // the time given to WakeAt has come
	OnBatch(l *Loop)                  // the end of every batch, before output is flushed
}

// Transport serves links on its loops.
type Transport struct{}

// Start listens and returns once every loop runs.
func Start(cfg Config, h Handler) (*Transport, error) { return nil, errors.New("not implemented") }

// Loops returns the event loops, in the order of their Index.
func (t *Transport) Loops() []*Loop { return nil }

// Addr returns the address that c is served on, the zero AddrPort if it is not.
func (t *Transport) Addr(c Carrier) netip.AddrPort { return netip.AddrPort{} }

// Stats counts what happened since Start. Safe to call from any goroutine.
func (t *Transport) Stats() Stats { return Stats{} }

// Stop closes every link and ends the loops. Safe to call from any goroutine, and twice.
func (t *Transport) Stop(ctx context.Context) error { return nil }
