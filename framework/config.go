// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Config says what a Server serves and how. The zero value is a server of
// plain KCP and TCP on any free ports of the loopback interface.
type Config struct {
	// KCP, PlainKCP, TCP, SealedTCP and WebSocket are the addresses to listen on, as
	// ":7777". KCP is encrypted, and it follows a player whose address changes.
	// SealedTCP is encrypted with the same key: clients whose network carries no UDP
	// fall back to it. A carrier whose address is empty is not served; if all are empty,
	// PlainKCP and TCP are served on "127.0.0.1:0", but nothing by a server of a Cluster: it
	// then has no players. Without a host, datagrams are answered from the address that they
	// were sent to, on Linux. Elsewhere name the host for KCP and PlainKCP if the machine has
	// several addresses.
	KCP, PlainKCP, TCP, SealedTCP, WebSocket string
	// KeyFile is the path of the private key of KCP and SealedTCP. The file is made if
	// there is none, and refused if it is this user's and others may read it. Clients
	// need the public half: see Server.PublicKey. If empty, each start makes another
	// key, which is good for tests only.
	KeyFile string
	// AlwaysCookie makes every client validate its address before a sealed link costs
	// any public-key work: one round trip more at login. If false, that is asked for
	// only under load: see CookieRate.
	AlwaysCookie bool
	// CookieRate is the load from which addresses are validated, in logins over sealed
	// links a second and loop. If zero, 200. If negative, hardly ever.
	CookieRate int
	// SealedStaysSealed keeps a session that was opened on a sealed link on sealed
	// links. A client whose UDP is blocked is refused with UNSEALED, and after three
	// times logs in anew: Authenticate decides by Login.Carrier what it may do there. If
	// false, the client may fall back to TCP, where a party on the path can speak as the
	// player once the player has resumed.
	SealedStaysSealed bool
	// WebSocketPath is the path that WebSockets are served on, as "/play". If empty,
	// every path.
	WebSocketPath string
	// TLS makes the server itself speak TLS on WebSocket: clients use wss://, and no
	// proxy is needed. It needs a certificate, or a hook that has one, such as that of
	// autocert.Manager; hooks may block. No other carrier uses it. An idle player costs
	// 7 KB more than without, and a batch of its messages 4 µs. If nil, and TLSCertFile
	// is empty, WebSockets are served without TLS.
	TLS *tls.Config
	// TLSCertFile and TLSKeyFile are the PEM files of the certificate, followed by those
	// that it needs, and of its key. They are read again once they have changed: a
	// renewed certificate needs no restart. They come before the certificates of TLS. If
	// empty, there are none.
	TLSCertFile, TLSKeyFile string
	// Origins are the pages that browsers may open a WebSocket from, as
	// "https://game.example", or "*" for all. If empty, pages whose host is the
	// server's. Clients that are no browsers name no origin and are let in.
	Origins []string
	// TrustedProxies are the addresses that proxies connect from. They tell the
	// player's address by the PROXY protocol or by X-Forwarded-For (transport/SPEC 8);
	// Login.Addr and all limits by address go by it. If empty, no proxy is believed.
	TrustedProxies []netip.Prefix
	// Loops is the number of event loops. If zero, one for each of runtime.GOMAXPROCS(0).
	Loops int
	// CoalesceDelay is how long a loop lets datagrams and streams that arrive close
	// together share one wake-up, where enough arrive; at most 1 ms. If zero, 100 us. If
	// negative, off. Linux only.
	CoalesceDelay time.Duration
	// Session says how sessions live: heartbeat, timeout, grace, buffers.
	Session SessionConfig
	// Authenticate turns a client's ticket into an Identity. It may block and is
	// called on a goroutine of its own, AuthConcurrency at a time, each for at
	// most AuthTimeout. An error made by Fail refuses the login for good, and its
	// code reaches the client as it is; so does a *CloseError with a code of the
	// game's, and its Detail. One made by Later sends the client away
	// for a time. Any other error, and a panic, is logged in full, and the client
	// comes back after 5 s: a fault of the server is never final. If nil, every login
	// succeeds and the user is empty.
	Authenticate func(ctx context.Context, login Login) (Identity, error)
	// Reopen lets the session of a user go on here whose server has crashed, without a
	// login: the same id and user, and all that the crashed server alone knew is gone. It
	// returns what becomes Player.Data, as Authenticate does, which is not asked; then come
	// OnOpen, OnResume and OnSnapshot. Its errors mean what those of Authenticate mean: so a
	// user that was banned meanwhile stays out. What the client had sent, and the crashed
	// server may have handled or not, its app is told of (client.EventReset), and it is not
	// sent again. It may block for AuthTimeout. Servers of a Cluster only. If nil, such
	// users log in anew.
	Reopen func(ctx context.Context, user string) (data any, err error)
	// MinVersion is the oldest version of the app that is let in, as "1.4.2". A client
	// tells its own in its Info: the first word of numbers with dots between, as in
	// "mygame/1.4.2 ios". An older one, or one without a version, is refused with
	// CodeOutdated, which is final. Sessions that live are resumed all the same. If
	// empty, every version is let in.
	MinVersion string
	// UpdateURL is the text of that refusal, at most 256 bytes: where to get a newer
	// version.
	UpdateURL string
	// AuthTimeout is how long Authenticate may take. If zero, 5 s.
	AuthTimeout time.Duration
	// AuthConcurrency bounds the logins that are being decided. Logins beyond it are
	// told to come back, as is one address, or /64 of IPv6, that has an eighth of them
	// already; this machine and TrustedProxies may have them all. A hook that does not
	// heed its context gives its slot back a quarter of AuthTimeout later; four times as
	// many of those as there are slots keep every login out. As many sessions of other
	// servers are asked for at once, and sixteen times as many may wait. If zero, 256.
	AuthConcurrency int
	// Duplicate says what happens when a user logs in that has a session already. If
	// zero, DuplicateReplace.
	Duplicate Duplicate

	// OnOpen, OnDetach, OnResume, OnSnapshot and OnClose are the hooks of a session.
	// They run on a worker, in this order: OnOpen once, then OnDetach and OnResume in
	// turn, OnClose once. OnSnapshot comes after OnResume when messages to the player
	// were dropped: send it what it needs to go on. If nil, it is not called.
	OnOpen     func(p *Player)
	OnDetach   func(p *Player)
	OnResume   func(p *Player)
	OnSnapshot func(p *Player)
	OnClose    func(p *Player, why Reason)

	// Strict is for development. A client is told of each message of its that came to
	// nothing: its route is unknown, belongs to a room that the player is not in, or
	// takes another type, with the field that does not fit. To send on a route that
	// neither Sends nor a handler has named is an error, and logged. If false, both are
	// only counted, or go by name.
	Strict bool

	// Rate bounds what one player may send for long. Beyond it, requests are answered
	// BUSY and datagrams are dropped; twice beyond it the session ends with POLICY. What
	// its handlers make the server send to others counts as well, see Player.Charge:
	// beyond the rate its messages wait. If zero, 1,000 messages and 1 MiB a second, and
	// five seconds of it at once.
	Rate Rate

	// OnPanic is told of every panic of the game's code, which is logged and
	// counted in any case: in is the route or callback, p the player that it served and
	// whose session ends, nil for a room's own callbacks. It runs where the panic
	// was: it must not block. If nil, it is not called.
	OnPanic func(p *Player, in string, v any)

	// Observer is told what Stats counts, as it happens.
	Observer Observer

	// Workers bounds the handlers that run at once. Beyond it requests are answered BUSY
	// and messages wait. The players of one address have a quarter of them, 16 at least;
	// this machine and TrustedProxies have all. If zero, 4,096.
	Workers int
	// MaxSessions bounds the sessions of this server. If zero, 1,000,000: set it to
	// what the machine's memory holds, at 2 KB each and what the game keeps.
	MaxSessions int
	// SessionsPerAddress bounds the sessions that were opened from one address, of
	// IPv6 from the same 64 bits of it, with a link or without. Beyond it logins
	// are answered BUSY. This machine and TrustedProxies are not counted. If zero,
	// 10,000. If negative, any number.
	SessionsPerAddress int
	// SessionsPerUser bounds the sessions of one user where Duplicate is DuplicateAllow.
	// Beyond it logins are answered BUSY. Users without a name are not counted. If
	// zero, 100. If negative, any number.
	SessionsPerUser int
	// BufferBytes bounds the memory of what was sent to all players together and
	// is not acknowledged yet, in bytes. Beyond it a player to which anything is sent
	// comes back to a snapshot, as beyond Session.SendBytes; the last eighth is kept for
	// the players that are there. If zero, 1 GiB. If negative, any number.
	//
	// A broadcast counts for each player for which it waits, though memory has its
	// body once: when thousands are away and much is broadcast, the bound
	// comes early. It is no bound of the server's memory. Outside of it, and
	// bounded for each player only, is what players have sent and no handler has
	// taken, up to 4 x Session.RecvPackets and RecvBytes; and what links hold of
	// the same messages while they write them, 128 KiB and a largest body each.
	// Bounded by nothing is what the game itself hands to Room.Post and has not
	// seen run.
	BufferBytes int64
	// ReceiveBytes bounds the memory of partial frames, which players have begun to
	// send and not ended, of all together, in bytes. Beyond it the links are closed that
	// have sent nothing whole for longest; their sessions wait. If zero, 64 MiB for each
	// loop.
	ReceiveBytes int
	// KeepMemory leaves it to Go's runtime when memory goes back to the system. If
	// false, the server collects garbage twice when a storm of 10,000 logins or returns
	// is over, so that it returns what that has left behind: as much as all players
	// take, which else stays for minutes.
	KeepMemory bool
	// MaxLinks bounds the live links of all carriers. If zero, 100,000.
	MaxLinks int
	// Admin is the address to serve the pages of Server.Admin on, as
	// "127.0.0.1:8081". Any but a loopback address needs an AdminToken. If
	// empty, they are not served.
	Admin string
	// AdminToken is what every request for these pages must bring:
	// "Authorization: Bearer <token>". If empty, only this machine is answered.
	AdminToken string
	// Drain says how Shutdown lets the players go.
	Drain Drain
	// LinksPerAddress bounds the live links of one address, or 64 bits of IPv6, on every
	// carrier. If zero, a tenth of MaxLinks. If negative, any number.
	LinksPerAddress int
	// OpensPerAddress bounds the links that one address opens a second, by the same
	// rules; ten seconds of it may come at once. Each loop bounds the logins over sealed
	// links alike when there are many (CookieRate). If zero, 100. If negative, any number.
	OpensPerAddress int
	// MaxPlainLinks bounds the links of plain KCP, whose addresses are easily forged,
	// and half of it those whose addresses are not validated. If zero, MaxLinks, or half
	// of that where sealed KCP is served too.
	MaxPlainLinks int
	// MaxPlainPerAddress bounds the plain-KCP links of one validated address, or 64 bits
	// of IPv6. If zero, 256. If negative, any number.
	MaxPlainPerAddress int
	// Node is this server's number in session ids.
	Node uint16
	// Secret is what reconnect tokens are made from. Servers that share a Store share it
	// too, and register the same routes. If zero, a random one: tokens die with the
	// process, as sessions do.
	Secret Secret
	// Store is where sessions move from server to server: see Player.Move. If nil, they
	// do not.
	Store Store
	// Cluster makes this server one of many: sessions go on at any of them, and a user
	// is found at any. It takes the place of Node, Store and Peers. Its servers share a
	// Secret, and Session.MaxAge is 47 h at most. If nil, the server is alone.
	Cluster Cluster
	// Address is what clients dial to reach this server, if there is a Store or Cluster: one or
	// more URLs with blanks between.
	Address string
	// Pack returns what the game of the next server must know of a player that moves,
	// and Unpack gets it there. They run just before OnClose here and OnOpen there, as
	// these do. If nil, it is told nothing.
	Pack   func(p *Player) []byte
	Unpack func(p *Player, state []byte)
	// Peers are the addresses of the game's other servers by their Node. A
	// client that comes back here with the session of one of them is sent there.
	Peers map[uint16]string
	// Logger is what the server logs to: OPERATIONS.md has the keys. If nil,
	// slog.Default().
	Logger *slog.Logger
	// Rand is the source of ids and nonces. If nil, crypto/rand.
	Rand io.Reader
	// Network replaces all sockets, for tests and simulations: package transport/memnet
	// has a network in memory. If nil, the system's.
	Network transport.Network
}

// Drain is how a server that shuts down lets its players go: each is told when
// its turn is, and is let go then.
type Drain struct {
	// Window is the time over which the turns are spread, so that the players do not
	// all arrive elsewhere at once. If zero, all have their turn at once.
	Window time.Duration
	// Address is where their clients go: one or more URLs with blanks between
	// (session/SPEC 8.9). With Config.Store their sessions live on there: see
	// Player.Move. If empty, wherever they find a server.
	Address string
	// Wait is the longest that rooms may play on: see Room.PlayOn. If zero, 10 minutes. If
	// negative, they may not.
	Wait time.Duration
	// Text is what a login is told meanwhile, at most 256 bytes. If empty, that the
	// server is shutting down. With Config.Cluster it is sent to another server, if there is one.
	Text string
}

// Login is what a client says of itself when it asks for a session.
type Login struct {
	Ticket  []byte
	Info    string
	Addr    netip.AddrPort
	Carrier Carrier
}

// Duplicate is what to do with a user's second login.
type Duplicate uint8

const (
	// DuplicateReplace closes the older session with TAKEN_OVER. Its OnClose has
	// returned before the new session's OnOpen begins.
	DuplicateReplace Duplicate = iota
	// DuplicateReject refuses the second login with ALREADY IN, which is final, while
	// the older session has a link. If it has none, its player may have lost the
	// app: the second login replaces it.
	DuplicateReject
	// DuplicateAllow lets both live.
	DuplicateAllow
	// DuplicateAdopt hands the living session to the new login: same identity, same
	// room, but the stream starts anew, so OnSnapshot asks for a snapshot.
	DuplicateAdopt
)

// Identity is what Config.Authenticate has made of a ticket.
type Identity struct {
	// User names the player: see Player.User. It may be empty.
	User string
	// Data is what was loaded of the player on the way: its account, its profile. It
	// becomes Player.Data before OnOpen, for DataOf to read. See CarryData for one that
	// goes to other servers with its player.
	Data any
}

// transport is the part of the configuration that is the carriers'.
func (c *Config) transport() transport.Config {
	return transport.Config{
		KCP: c.KCP, PlainKCP: c.PlainKCP, TCP: c.TCP, SealedTCP: c.SealedTCP, WebSocket: c.WebSocket, WebSocketPath: c.WebSocketPath, Origins: c.Origins,
		TLS: c.TLS, TLSCertFile: c.TLSCertFile, TLSKeyFile: c.TLSKeyFile,
		KeyFile: c.KeyFile, ResumeSecret: c.Secret, AlwaysCookie: c.AlwaysCookie, CookieRate: c.CookieRate, Greeting: []byte{session.ProtocolVersion},
		TrustedProxies: c.TrustedProxies, Loops: c.Loops, MaxBody: c.Session.MaxBody, CoalesceDelay: c.CoalesceDelay,
		MaxLinks: c.MaxLinks, MaxPlainLinks: c.MaxPlainLinks, MaxPlainPerAddress: c.MaxPlainPerAddress,
		LinksPerAddress: c.LinksPerAddress, OpensPerAddress: c.OpensPerAddress, ReceiveBytes: c.ReceiveBytes,
		Logger: c.Logger, Network: c.Network,
	}
}
