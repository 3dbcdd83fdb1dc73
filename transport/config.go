// SPDX-License-Identifier: MIT

package transport

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// Config says what to serve and how much of it. The zero value of every field
// works; a Config that names no address runs its loops and serves nothing.
type Config struct {
	// PlainKCP is the address, "host:port", that stock KCP is served on. If
	// empty, it is not served. Port 0 picks one port for all loops.
	PlainKCP string
	// TCP is the address that TCP is served on, by the same rules.
	TCP string
	// KCP is the address that sealed KCP is served on, by the same rules. Where the
	// host is empty or unspecified, a datagram is answered from the address that it
	// was sent to, on Linux. Elsewhere the answer comes from the address that the
	// routes choose: name the host there, if the machine has several addresses.
	KCP string
	// SealedTCP is the address that sealed TCP is served on, by the same rules: for
	// players whose network carries no UDP. It uses the keys of sealed KCP.
	SealedTCP string
	// WebSocket is the address that WebSockets are served on, by the same
	// rules: SPEC 7.
	WebSocket string
	// WebSocketPath is the path that they are served on, "/play" for example;
	// a request for another one is answered 404. If empty, every path.
	WebSocketPath string
	// TLS makes the server speak TLS on WebSocket, so that clients use wss:// and need no
	// proxy: HTTP without TLS is then answered 400. It is copied, and needs a
	// certificate, or a hook that has one: hooks may block, a panic in one ends that
	// connection. No other carrier uses TLS. A connection costs 7 KB of memory more than
	// without. If nil, and TLSCertFile is empty, there is no TLS.
	TLS *tls.Config
	// TLSCertFile and TLSKeyFile are the PEM files of the certificate, with those it
	// needs below it, and of its key. They are read again when they have changed, and
	// come before the certificates of TLS. If empty, there are none.
	TLSCertFile, TLSKeyFile string
	// Origins are the pages that browsers may open a WebSocket from, such as
	// "https://game.example", or "*" for all. If empty, pages whose host is
	// the server's, on whatever port. Clients that are not browsers name no
	// origin and are always let in.
	Origins []string
	// TrustedProxies are the addresses that proxies connect from which tell
	// the player's address: SPEC 8. On TCP every connection from there must
	// begin with a header of the PROXY protocol, on a WebSocket it may, and may
	// carry X-Forwarded-For. Link.RemoteAddr is then the player's address.
	// What other addresses say of that kind is not believed.
	TrustedProxies []netip.Prefix
	// OpeningTimeout is how long a connection may take to ask for its WebSocket, its TLS
	// handshake included, and a proxy to tell its player's address. If zero, 5 s.
	OpeningTimeout time.Duration
	// Keys are the server's key pairs for sealed KCP and sealed TCP. If empty, those in KeyFile.
	Keys []seal.Key
	// KeyFile is where the private keys of sealed KCP are, one a line. If the
	// file does not exist it is made, with a new key, readable by this user
	// only. Clients are told the public half of the first, see
	// Transport.PublicKey; those that know the others still get in, so that a
	// key can be changed without a day on which none does. If empty, there
	// is a new key for each start.
	KeyFile string
	// ResumeSecret is what Loop.ResumeKey makes the keys from with which links
	// open without public-key cryptography. If zero, none does.
	ResumeSecret [32]byte
	// Greeting is what the answer to a sealed handshake carries for the layer
	// above: at most seal.MaxGreeting bytes.
	Greeting []byte
	// AlwaysCookie makes every opening of a sealed link validate its address
	// before it costs any cryptography: one round trip more. Otherwise that is
	// asked for only when many want to open links.
	AlwaysCookie bool
	// CookieRate is how many openings of sealed links with public keys a loop
	// sees in a second before it asks for that. If zero, 200. If negative, only
	// AlwaysCookie and a table of half-open links that fills up make it ask.
	CookieRate int
	// Loops is the number of event loops. If zero, runtime.GOMAXPROCS(0). Outside Linux
	// there is one loop whatever this says: elsewhere the kernel does not spread packets
	// over sockets that share a port.
	Loops int
	// MaxBody is the largest body of a packet. If zero, codec.DefaultMaxBody.
	MaxBody int
	// MaxLinks bounds the live links of all carriers. If zero, 100,000. TCP is
	// bounded by the limit of open files as well, less a reserve.
	MaxLinks int
	// MaxPlainLinks bounds those of plain KCP among them, and half of it those
	// whose addresses are not validated. If zero, MaxLinks, or half of that
	// where sealed KCP is served too: peers that can lie about their address shall
	// not keep out those that can't.
	MaxPlainLinks int
	// MaxPlainPerAddress bounds the plain-KCP links of one address, one /64 of
	// IPv6, that is validated. If zero, 256. If negative, there is no
	// bound.
	MaxPlainPerAddress int
	// LinksPerAddress bounds the live links of one address on all carriers: of an
	// IPv4 address, or of 64 bits of an IPv6 address. 56 bits of that may have four
	// times as many, 48 bits sixteen times. If zero, a tenth of MaxLinks. If
	// negative, any number.
	LinksPerAddress int
	// OpensPerAddress bounds the links that one address opens a second, by the same
	// rules; ten seconds of it may come at once. A link of plain KCP counts once its
	// address is validated. Under load (CookieRate) each loop bounds the handshakes of
	// sealed links alike, and those of an IPv4 /24 or IPv6 /48 to twice as many. If
	// zero, 100. If negative, any number.
	// No limit by address counts links from this machine itself, nor a trusted proxy's
	// own address in place of those that it speaks for.
	OpensPerAddress int
	// SendBuffer is how many bytes may wait in one link: see Link.Room. If
	// zero, 128 KiB: what the windows of stock KCP clients take, 128 segments.
	SendBuffer int
	// ReceiveBytes bounds what all links together hold of what their peers have
	// begun and not ended: frames, requests for a WebSocket, and KCP segments that
	// wait for one before them. Each loop has its share. Beyond it the links are closed that have
	// handed up nothing for longest. If zero, 64 MiB for each loop. One link
	// alone may hold three of the largest frames or so.
	ReceiveBytes int
	// SocketBuffer is the SO_RCVBUF and SO_SNDBUF that the datagram sockets
	// ask for. If zero, as much as the system allows, up to 8 MiB. Less than
	// 1 MiB is worth a warning in the log: a burst of players overflows it.
	SocketBuffer int
	// CoalesceDelay is how long a loop that has taken all that had come waits before it
	// looks again, so that what comes meanwhile shares what a wake-up costs. Nothing
	// that is sent waits for that, and there are no waits where hardly anything would
	// come in one, nor where players ask again as soon as they are answered and waits
	// would slow them down. If zero, 100 us; at most 1 ms, since the loop's thread
	// sleeps meanwhile and the runtime has to wait for it when it stops all. If
	// negative, nothing is coalesced. Linux only.
	CoalesceDelay time.Duration
	// Logger takes the few things that are worth a line. If nil, slog.Default().
	Logger *slog.Logger
	// Network, if not nil, is what everything runs on instead of sockets, such as a
	// network in memory: transport/memnet.
	Network Network
}

// Network is what loops run on in place of the system's sockets. Package
// transport/memnet has one.
type Network interface{ backend.Network }

const (
	defaultMaxLinks       = 100_000
	defaultSendBuffer     = 128 << 10
	defaultReceiveBytes   = 64 << 20 // of a loop
	defaultOpeningTimeout = 5 * time.Second
	maxCoalesceDelay      = time.Millisecond
	maxLoops              = 256
	maxMaxBody            = 1<<28 - 1 // what four bytes of length can say
	maxSendBuffer         = 64 << 20
)

// speaksTLS reports whether WebSockets are served on TLS.
func (c *Config) speaksTLS() bool { return c.TLS != nil || c.TLSCertFile != "" }

func (c *Config) loops() int { return cmp.Or(c.Loops, min(runtime.GOMAXPROCS(0), maxLoops)) }

// maxBody is asked for each packet, and so is sendBuffer: an if costs less than cmp.Or.
func (c *Config) maxBody() int {
	if c.MaxBody == 0 {
		return codec.DefaultMaxBody
	}
	return c.MaxBody
}

// maxFrame is the size of the largest frame.
func (c *Config) maxFrame() int { return c.maxBody() + codec.FrameOverhead }

func (c *Config) sendBuffer() int {
	if c.SendBuffer == 0 {
		return defaultSendBuffer
	}
	return c.SendBuffer
}

func (c *Config) maxLinks() int { return cmp.Or(c.MaxLinks, defaultMaxLinks) }

func (c *Config) maxPlainLinks() int {
	most := c.maxLinks()
	if c.KCP != "" {
		most = (most + 1) / 2
	}
	return cmp.Or(c.MaxPlainLinks, most)
}

func (c *Config) maxPlainPerAddress() int { return max(cmp.Or(c.MaxPlainPerAddress, 256), 0) }

func (c *Config) linksPerAddress() int { return cmp.Or(c.LinksPerAddress, max(c.maxLinks()/10, 1)) }

func (c *Config) opensPerAddress() int { return cmp.Or(c.OpensPerAddress, 100) }

// receiveShare is a loop's share of ReceiveBytes.
func (c *Config) receiveShare() int {
	if c.ReceiveBytes == 0 {
		return defaultReceiveBytes
	}
	return c.ReceiveBytes / c.loops()
}

func (c *Config) openingTimeout() time.Duration {
	return cmp.Or(c.OpeningTimeout, defaultOpeningTimeout)
}

func (c *Config) socketBuffer() int { return cmp.Or(c.SocketBuffer, 8<<20) }

func (c *Config) coalesceDelay() time.Duration {
	return max(cmp.Or(c.CoalesceDelay, 100*time.Microsecond), 0)
}

func (c *Config) logger() *slog.Logger { return cmp.Or(c.Logger, slog.Default()) }
