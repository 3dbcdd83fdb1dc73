// SPDX-License-Identifier: MIT

package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// Config says how a client behaves. The zero value works.
type Config struct {
	// Ticket returns what the game's authentication hook gets to see. It is
	// called for every login, never while a session is resumed, on a goroutine
	// of its own, one call at a time. It may block until ctx is done: after
	// TicketTimeout, or with the client. An error makes the attempt fail, and
	// another one follows (state Failed), and so does a ticket that no server takes:
	// with Info it has a little less than 64 KiB. If nil, the ticket is empty.
	Ticket func(ctx context.Context) ([]byte, error)
	// TicketTimeout is how long an attempt waits for Ticket. If zero, 10 s.
	TicketTimeout time.Duration
	// Token, if not empty, resumes the session of an earlier run of the app
	// instead of logging in: see Client.Token.
	Token string
	// Info describes the client to the server: build, platform.
	Info string
	// ServerKey is the server's public key, "llp1." and 43 characters: what
	// framework.Server.PublicKey returns, and the server logs when it starts.
	// kcp:// addresses need it; it is no secret, so it may ship with the app.
	ServerKey string

	// OnEvent is told what becomes of the session, in order with the messages
	// and like them on the client's delivery goroutine.
	OnEvent func(Event)
	// OnRefused is told of a message that came to nothing at the server, and why: an
	// unknown route, a room that the client is not in, a type that does not fit. Only a
	// server in development tells (framework.Config.Strict). If nil, it is logged.
	OnRefused func(route string, err error)
	// OnMessage takes the messages of routes without a handler. payload lives
	// until it returns. If nil, they are counted and dropped.
	OnMessage func(route string, payload codec.Raw)

	// MaxPackets and MaxBytes bound what waits to be accepted by the server:
	// beyond them Send and Request fail with ErrFull. If zero, 1,024
	// packets and 1 MiB.
	MaxPackets, MaxBytes int
	// MaxReceive is the largest body that the client reads, in bytes. If zero,
	// 1 MiB; at least 64 KiB. A server that may send larger ones, by its MaxBody,
	// ends the client at once: CodeVersion.
	MaxReceive int
	// InboxPackets and InboxBytes bound the messages that wait for a slow
	// handler; at three quarters the server is asked to hold. If zero, 1,024
	// packets and 1 MiB.
	InboxPackets, InboxBytes int

	// DialTimeout is how long one address has to answer a dial. If zero, 5 s.
	DialTimeout time.Duration
	// OpeningTimeout is how long a link has to become the session's before
	// the next address is tried. If zero, 5 s.
	OpeningTimeout time.Duration
	// Fallback is how long UDP may be silent before the next address is tried,
	// if one of them is not over UDP. If zero, 1.5 s. If negative, for as long
	// as other addresses may.
	Fallback time.Duration
	// MinDelay and MaxDelay bound the pauses between attempts: the n-th is
	// random in 0 ... min(MaxDelay, MinDelay*2^n). If zero, 0.5 s and 30 s.
	MinDelay, MaxDelay time.Duration
	// CloseTimeout bounds how long Close waits for the server to have what was
	// sent last, goodbye included. If zero, 200 ms. If negative, not at all.
	CloseTimeout time.Duration

	// Logger takes what is worth a line. If nil, slog.Default().
	Logger *slog.Logger
	// Rand is where unguessable bits come from. It is read by one goroutine at
	// a time. If nil, crypto/rand.
	Rand io.Reader
	// Dial opens a stream, as net.Dialer's DialContext does. If nil, that one.
	// A connection with a method Cut() is dropped by it: see Client.Cut. Without
	// ListenPacket it opens KCP too: network is then "plain-kcp", and the stream
	// one that speaks KCP below.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Lookup returns the addresses of a host name, best first; a dial tries
	// eight at most. If nil, the system's resolver. Dial, where it is set, gets
	// names as they are.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// TLS is used for wss:// addresses. If nil, what the system trusts.
	TLS *tls.Config
	// ListenPacket opens a datagram socket for one KCP link. If nil, a UDP
	// socket of the system, for plain KCP connected to the server.
	ListenPacket func() (net.PacketConn, error)
	// KCP speaks KCP on a socket, in datagrams of at most mtu bytes, for tests with a
	// stock one. If nil, package transport/kcp.
	KCP func(pc net.PacketConn, server net.Addr, conv uint32, mtu int) net.Conn
}

// maxLogin is what Ticket and Info may have together, in bytes: their HELLO is one body of the size that
// every client may send (session/SPEC.md 3.2), and has some fields of its own.
const maxLogin = codec.DefaultMaxBody - 64

// check returns an error that names the field that can't work.
func (c *Config) check() error {
	switch {
	case c.MaxPackets < 0 || c.MaxBytes < 0:
		return fmt.Errorf("client: MaxPackets %d or MaxBytes %d is negative", c.MaxPackets, c.MaxBytes)
	case c.MaxReceive != 0 && c.MaxReceive < codec.DefaultMaxBody:
		return fmt.Errorf("client: MaxReceive %d is below %d, which every server may send", c.MaxReceive, codec.DefaultMaxBody)
	case len(c.Info) > maxLogin:
		return fmt.Errorf("client: Info has %d bytes, a server takes %d, with the ticket", len(c.Info), maxLogin)
	case c.InboxPackets < 0 || c.InboxBytes < 0:
		return fmt.Errorf("client: InboxPackets %d or InboxBytes %d is negative", c.InboxPackets, c.InboxBytes)
	case c.TicketTimeout < 0:
		return fmt.Errorf("client: TicketTimeout %v is negative", c.TicketTimeout)
	case c.DialTimeout < 0 || c.OpeningTimeout < 0:
		return fmt.Errorf("client: DialTimeout %v or OpeningTimeout %v is negative", c.DialTimeout, c.OpeningTimeout)
	case c.MinDelay < 0 || c.MaxDelay < 0:
		return fmt.Errorf("client: MinDelay %v or MaxDelay %v is negative", c.MinDelay, c.MaxDelay)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"TicketTimeout", c.TicketTimeout}, {"DialTimeout", c.DialTimeout}, {"OpeningTimeout", c.OpeningTimeout}, {"Fallback", c.Fallback},
		{"MinDelay", c.MinDelay}, {"MaxDelay", c.MaxDelay}, {"CloseTimeout", c.CloseTimeout},
	} {
		if d.value > 0 && d.value < time.Millisecond {
			return fmt.Errorf("client: %s is %v: does it lack its unit, as in %d * time.Second?", d.field, d.value, d.value)
		}
	}
	return nil
}

func (c *Config) dialTimeout() time.Duration { return cmp.Or(c.DialTimeout, 5*time.Second) }
func (c *Config) fallback() time.Duration    { return max(cmp.Or(c.Fallback, 1500*time.Millisecond), 0) }
func (c *Config) closeTimeout() time.Duration {
	return max(cmp.Or(c.CloseTimeout, 200*time.Millisecond), 0)
}

func (c *Config) logger() *slog.Logger { return cmp.Or(c.Logger, slog.Default()) }

// listen opens the socket of a sealed link. It is not connected, so that the
// system may choose another way for each datagram.
func (c *Config) listen() (net.PacketConn, error) {
	if c.ListenPacket != nil {
		return c.ListenPacket()
	}
	return net.ListenUDP("udp", nil)
}

// lookup asks for the addresses of a name.
func (c *Config) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if c.Lookup != nil {
		return c.Lookup(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// serverKey reads ServerKey, which some of the addresses may need.
func (c *Config) serverKey(list []address) (key seal.PublicKey, err error) {
	if c.ServerKey != "" {
		if key, err = seal.ParsePublicKey(c.ServerKey); err != nil {
			return key, fmt.Errorf("client: ServerKey: %w", err)
		}
		return key, nil
	}
	for _, a := range list {
		if a.carrier.sealed() {
			return key, fmt.Errorf("client: address %q needs ServerKey, the server's public key: it logs it when it starts, and framework.Server.PublicKey returns it", a)
		}
	}
	return key, nil
}
