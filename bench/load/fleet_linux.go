// SPDX-License-Identifier: MIT

package load

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

// Config says who plays against what.
type Config struct {
	Server   netip.AddrPort
	Carrier  string // "plain-kcp", "kcp", "tcp", "stcp", "ws", or "udp": bare datagrams, sent again if lost
	Key      string // the server's public one, for kcp
	Bare     bool   // there is no session layer: what is echoed is what travels, but for a Dialect
	Dialect  Dialect
	Sessions int
	Sockets  int // if zero, one for each session
	Size     int // bytes of a request's payload
	Answer   int // bytes of an answer's; if zero, Size
	Window   int // requests that a session may have unanswered; at a rate it is not bounded
	Opening  int // sessions that may be opening at once

	Route   string           // of the requests; if empty, "echo"
	Rate    float64          // requests a second of all players together; if zero, the loop is closed
	Backlog int              // at a rate: requests that a player may have unanswered; it skips the others. If zero, any number
	Return  bool             // who loses a link comes back; otherwise that is an error
	Users   bool             // players log in by a name: see UserIndex
	Servers []netip.AddrPort // if there are several: players begin at them in turn, and go where they are sent
	Wrong   bool             // who comes back tries another server first than the one it was at
	Relogin bool             // who is told that its session is over logs in anew; otherwise that is an error
	Loss    float64          // share of datagrams that never arrive, of either direction
	Seed    uint64           // of Loss

	Lateness bool // the players measure their own: see Lateness
}

// Dialect is what some servers want around bare messages.
type Dialect struct {
	Ask, Answer    []byte // stand in front of each request, and of its answer
	Knock, Welcome []byte // what a stream begins with, and what is said to that
	Push           []byte // stands in front of each message of the server's own; players ask for nothing then
}

// patience is how long a player waits for an answer before that is an error.
const patience = time.Second

// tick is the resolution of the players' timers: KCP's own interval.
const tick = 5 * time.Millisecond

// Fleet is many players on one thread. Its owner calls everything.
type Fleet struct {
	cfg     Config
	epoll   int
	start   time.Time
	began   time.Duration // start, by proc.Monotonic
	now     time.Duration
	kcp     kcp.Config
	route   codec.Route
	wheel   *session.Wheel[*player]
	seal    *seals // kcp and stcp only
	streams bool   // the carrier is one: tcp, stcp or ws
	sockets []socket
	players []player
	events  [512]unix.EpollEvent

	busy    bool // players ask, and ask again
	begun   int  // players that began to open
	opening int
	open    int
	tell    func(error)

	asking  time.Duration                   // rate: when the next request is due
	turnOf  int                             // and whose it is
	cut     time.Duration                   // when all links were cut
	cutTurn int                             // whose link is cut next
	away    int                             // players without a link
	lottery *rand.Rand                      // of Loss
	toldOf  func(player int, number uint64) // see OnPush
	visits  int                             // of the wheel

	hist       chart.Histogram // from asking to the answer
	pushes     chart.Histogram // from the server's sending to receiving
	returns    chart.Histogram // from the cut to being back
	counts     Counts
	resets     int
	repeated   int             // attempts to open after a first one
	failure    error           // of the last attempt that was repeated
	redials    chart.Histogram // from the first attempt to come back
	aways      chart.Histogram // from losing the link to being back
	openings   chart.Histogram // from the dial to the session
	rooms      Visits          // since TakeVisits
	beats      uint64          // of rooms, that have arrived
	lateness   Lateness        // of Config.Lateness
	lay        time.Duration   // how long what is served now lay in its socket; below 0: not known
	logins     int             // after the first
	unanswered uint64          // requests that a reset or another session has taken the answer of
	resent     uint64          // bare datagrams
	in         []byte
	out        []byte
	packet     []byte
	sends      []byte // what is asked
	wants      []byte // and what is answered
}

// socket carries one player, or several with a conversation each.
type socket struct {
	fd    int
	owner *player // nil if it is shared
}

// New opens the sockets. tell hears of errors; it may be nil.
func New(cfg Config, tell func(error)) (*Fleet, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	if tell == nil {
		tell = func(error) {}
	}
	f := &Fleet{
		cfg: cfg, start: time.Now(), began: proc.Monotonic(), lottery: rand.New(rand.NewPCG(cfg.Seed, cfg.Seed)), wheel: session.NewWheel[*player](tick), tell: tell,
		sockets: make([]socket, 0, cfg.Sockets), players: make([]player, cfg.Sessions),
		in: make([]byte, 128<<10), sends: makeRequest(cfg), wants: makeAnswer(cfg), route: codec.NamedRoute(cfg.Route),
		streams: cfg.Carrier == "tcp" || cfg.Carrier == "ws" || cfg.Carrier == "stcp",
	}
	f.kcp.Pool = kcp.NewPool(64 << 20)
	f.kcp.NoRepeats = cfg.Bare // whose players would speak stock KCP
	var err error
	if cfg.Carrier == "kcp" || cfg.Carrier == "stcp" {
		if f.seal, err = newSeals(cfg.Key); err != nil {
			return nil, err
		}
		f.kcp.MTU = sealedMTU
	}
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for i := range cfg.Sockets {
		f.sockets = append(f.sockets, socket{fd: -1})
		if err := f.openSocket(i); err != nil {
			f.Close()
			return nil, err
		}
	}
	for i := range f.players {
		if err := f.players[i].init(f, i); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// defaults fills in what is not set, and refuses what can not be.
func (c *Config) defaults() error {
	c.Sockets = cmp.Or(c.Sockets, c.Sessions)
	c.Answer = cmp.Or(c.Answer, c.Size)
	c.Route = cmp.Or(c.Route, "echo")
	limit, err := proc.OpenFiles()
	switch {
	case err != nil:
		return err
	case c.Sessions < 1 || c.Sockets > c.Sessions || c.Window < 1 || c.Opening < 1:
		return fmt.Errorf("load: %d sessions on %d sockets, window %d, %d opening at once: no such load", c.Sessions, c.Sockets, c.Window, c.Opening)
	case c.Answer < minSize || c.Answer > maxSize:
		return fmt.Errorf("load: an answer of %d is outside %d ... %d", c.Answer, minSize, maxSize)
	case c.Size < minSize || c.Size > maxSize:
		return fmt.Errorf("load: a size of %d is outside %d ... %d", c.Size, minSize, maxSize)
	case c.Sessions > maxIndex:
		return fmt.Errorf("load: %d sessions: %d is the most", c.Sessions, maxIndex)
	case c.Carrier != "plain-kcp" && c.Carrier != "kcp" && c.Sockets != c.Sessions:
		return fmt.Errorf("load: %s needs a socket for every session", c.Carrier)
	case len(c.Servers) > 0 && c.Sockets != c.Sessions:
		return fmt.Errorf("load: several servers: %d sessions need as many sockets, not %d", c.Sessions, c.Sockets)
	case c.Carrier == "udp" && !c.Bare:
		return errors.New("load: bare datagrams carry no sessions")
	case c.Sockets > limit-reserve:
		return fmt.Errorf("load: %d sockets do not fit into the limit of %d open files: raise it (ulimit -n), or let sessions share sockets (-sockets, plain-kcp only)", c.Sockets, limit)
	}
	return nil
}

// reserve is how many descriptors are left to everything else.
const reserve = 64

// openSocket makes socket i, and connects it if it is one for datagrams. A
// stream waits for its player's turn, so that not everybody knocks at once.
func (f *Fleet) openSocket(i int) error {
	kind := unix.SOCK_DGRAM
	if f.streams {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("load: socket %d: %w", i, err)
	}
	f.sockets[i].fd = fd
	if f.cfg.Lateness {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) // without stamps Lateness has none
	}
	if f.streams {
		return nil
	}
	if f.cfg.Sockets < f.cfg.Sessions && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	}
	if err := f.bind(fd, i); err != nil {
		return err
	}
	if err := unix.Connect(fd, sockaddr(f.cfg.Server)); err != nil {
		return fmt.Errorf("load: connect: %w", err)
	}
	return f.watch(fd, i, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
}

// sockaddr is an address as the system wants it.
func sockaddr(a netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
}

// bind gives the socket of player i its address.
func (f *Fleet) bind(fd, i int) error {
	from := playerAddr(i, f.cfg.Server.Addr())
	if !from.IsValid() {
		return nil
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}); err != nil {
		return fmt.Errorf("load: address of socket %d: %w", i, err)
	}
	return nil
}

// playerAddr is the address of player i on the loopback: real players have one
// of their own, and servers look at them. Elsewhere it is the system's choice.
func playerAddr(i int, server netip.Addr) netip.Addr {
	if !server.Unmap().IsLoopback() {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{127, byte(1 + i/250%250), byte(i % 250), 1})
}

// closeSocket closes it without a word.
func (f *Fleet) closeSocket(s *socket) {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

func (f *Fleet) watch(fd, index, op int, events uint32) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(f.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(index)})
}

// Close closes the sockets without a word.
func (f *Fleet) Close() {
	for i := range f.sockets {
		f.closeSocket(&f.sockets[i])
	}
	_ = unix.Close(f.epoll)
}

// tooLate is how late the fleet may be when it begins another session: what it has opened
// comes first.
const tooLate = 500 * time.Millisecond

// Open opens the sessions, a bounded number at a time.
func (f *Fleet) Open(limit time.Duration) error {
	f.clock()
	for end := f.now + limit; f.begun < len(f.players) || f.opening > 0; f.turn(end) {
		for f.begun < len(f.players) && f.opening < f.cfg.Opening && f.kcp.ExtraRTO < tooLate {
			p := &f.players[f.begun]
			f.begun++
			f.opening++
			f.begin(p)
		}
		if f.now > end {
			return fmt.Errorf("load: only %d of %d sessions were open after %v, %d attempts were repeated (the last failure: %v): %+v", f.open, len(f.players), limit, f.repeated, f.failure, f.counts)
		}
	}
	if f.open < len(f.players) {
		return fmt.Errorf("load: %d of %d sessions are open: %+v", f.open, len(f.players), f.counts)
	}
	return nil
}

// Play lets the players ask for d.
func (f *Fleet) Play(d time.Duration) {
	if f.cfg.Rate > 0 {
		defer punctual()()
	}
	f.clock()
	end := f.now + d
	if !f.busy {
		f.busy, f.asking = true, f.now
		for i := range f.players {
			p := &f.players[i]
			for f.cfg.Rate == 0 && p.state == isOpen && p.asked-p.answered < uint64(f.cfg.Window) {
				f.ask(p, f.now)
			}
			f.flush(p)
			if i%256 == 255 { // those who asked first have their answers by now
				f.turn(f.now)
			}
		}
	}
	for f.now < end {
		f.turn(end)
	}
}

// Idle lets the players be there for d: heartbeats only.
func (f *Fleet) Idle(d time.Duration) {
	f.busy = false
	f.clock()
	for end := f.now + d; f.now < end; {
		f.turn(end)
	}
}

// Reset forgets what was counted so far.
func (f *Fleet) Reset() {
	f.hist.Reset()
	f.pushes.Reset()
	f.lateness.reset()
	f.counts = Counts{}
}

// OnPush has f told of every message of the server's own, when it has arrived.
func (f *Fleet) OnPush(told func(player int, number uint64)) { f.toldOf = told }

// Pushes tells how long the server's messages took since the last Reset.
func (f *Fleet) Pushes() *chart.Histogram { return &f.pushes }

// Repeated returns how many attempts to open a session were no first ones.
func (f *Fleet) Repeated() int { return f.repeated }

// Waiting returns how many requests have no answer yet.
func (f *Fleet) Waiting() (n uint64) {
	for i := range f.players {
		n += f.players[i].asked - f.players[i].answered
	}
	return n
}

// Result is what was counted since the last Reset.
func (f *Fleet) Result() (*chart.Histogram, Counts) {
	f.counts.Timeout = 0
	for i := range f.players {
		p := &f.players[i]
		if p.state == isOpen && p.answered < p.asked && f.now-f.request(p, p.answered).due > patience {
			f.counts.Timeout++
		}
	}
	return &f.hist, f.counts
}

// Retransmits returns how many segments the players have ever sent again.
func (f *Fleet) Retransmits() uint64 {
	n := f.resent
	for i := range f.players {
		n += uint64(f.players[i].kcp.Stats().Retransmits)
	}
	return n
}

func (f *Fleet) clock() { f.now = time.Since(f.start) }

// turn waits for the sockets, but not beyond until, and takes what is there.
// All of it comes before any timer: an answer that waits in a socket of ours
// is not lost, and real players have a processor each.
func (f *Fleet) turn(until time.Duration) {
	next := min(until, f.wheel.Next())
	if f.busy && f.cfg.Rate > 0 {
		next = min(next, f.asking)
	}
	began := f.now
	if wait := next - f.now; wait > 0 {
		began = next
	}
	if f.poll(min(max(next-f.now, 0), time.Hour)) == len(f.events) {
		f.drain()
	}
	f.clock()
	f.late(f.now - began)
	f.wheel.Advance(f.now, f.visit)
	f.pace()
}

// drain takes what waits in the sockets, as far as that comes to an end.
func (f *Fleet) drain() {
	f.clock()
	for end := f.now + longTurn; f.now < end && f.poll(0) > 0; {
		f.clock()
		f.pace()
	}
}

// longTurn bounds the time that answers alone may take.
const longTurn = 100 * time.Millisecond

// late takes note that we read the sockets later than real players would, who
// have a processor each: what their KCP takes for lost because of that is
// still in our sockets. Half of it is forgotten with each turn.
func (f *Fleet) late(d time.Duration) {
	if d = max(d, f.kcp.ExtraRTO/2); d < tick {
		d = 0
	}
	f.kcp.ExtraRTO = min(d, time.Second)
}

func (f *Fleet) poll(wait time.Duration) int {
	n := epollWait(f.epoll, f.events[:], wait)
	for i := range n {
		f.ready(&f.sockets[f.events[i].Fd], f.events[i].Events)
	}
	return n
}
