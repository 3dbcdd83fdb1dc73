// SPDX-License-Identifier: MIT

package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

// Config says who plays against what.
type Config struct {
	Server   netip.AddrPort
	Carrier  string // "plain-kcp", "tcp", or "udp": bare datagrams, sent again if lost
	Bare     bool   // what travels is echoed as it is; there is no session layer
	Sessions int
	Sockets  int // if zero, one for each session
	Size     int // bytes of a request's payload
	Window   int // requests that a session may have unanswered
	Opening  int // sessions that may be opening at once
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
	now     time.Duration
	kcp     kcp.Config
	wheel   *session.Wheel[*player]
	sockets []socket
	players []player
	events  [512]unix.EpollEvent

	busy    bool // players ask, and ask again
	begun   int  // players that began to open
	opening int
	open    int
	tell    func(error)

	hist   Histogram
	counts Counts
	resent uint64 // bare datagrams
	in     []byte
	out    []byte
	packet []byte
	want   []byte
}

// socket carries one player, or several with a conversation each.
type socket struct {
	fd    int
	owner *player // nil if it is shared
}

// New opens the sockets. tell hears of errors; it may be nil.
func New(cfg Config, tell func(error)) (*Fleet, error) {
	if cfg.Sockets == 0 {
		cfg.Sockets = cfg.Sessions
	}
	if tell == nil {
		tell = func(error) {}
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	f := &Fleet{
		cfg: cfg, start: time.Now(), wheel: session.NewWheel[*player](tick), tell: tell,
		sockets: make([]socket, 0, cfg.Sockets), players: make([]player, cfg.Sessions),
		in: make([]byte, 128<<10), want: makePayload(cfg),
	}
	f.kcp.Pool = kcp.NewPool(64 << 20)
	var err error
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for range cfg.Sockets {
		if err := f.addSocket(); err != nil {
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

func (c *Config) check() error {
	limit, err := proc.OpenFiles()
	switch {
	case err != nil:
		return err
	case c.Sessions < 1 || c.Sockets > c.Sessions || c.Window < 1 || c.Opening < 1:
		return fmt.Errorf("load: %d sessions on %d sockets, window %d, %d opening at once: no such load", c.Sessions, c.Sockets, c.Window, c.Opening)
	case c.Size < minSize || c.Size > maxSize:
		return fmt.Errorf("load: a size of %d is outside %d ... %d", c.Size, minSize, maxSize)
	case c.Carrier != "plain-kcp" && c.Sockets != c.Sessions:
		return fmt.Errorf("load: %s needs a socket for every session", c.Carrier)
	case c.Carrier == "udp" && !c.Bare:
		return errors.New("load: bare datagrams carry no sessions")
	case c.Sockets > limit-reserve:
		return fmt.Errorf("load: %d sockets do not fit into the limit of %d open files: raise it (ulimit -n), or let sessions share sockets (-sockets, plain-kcp only)", c.Sockets, limit)
	}
	return nil
}

// reserve is how many descriptors are left to everything else.
const reserve = 64

func (f *Fleet) addSocket() error {
	kind := unix.SOCK_DGRAM
	if f.cfg.Carrier == "tcp" {
		kind = unix.SOCK_STREAM
	}
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(f.cfg.Server.Port()), Addr: f.cfg.Server.Addr().Unmap().As4()})
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("load: socket %d: %w", len(f.sockets), err)
	}
	f.sockets = append(f.sockets, socket{fd: fd})
	return f.connect(fd, to)
}

// connect connects a datagram socket. A stream waits for its player's turn, so
// that not everybody knocks at once.
func (f *Fleet) connect(fd int, to unix.Sockaddr) error {
	if f.cfg.Carrier == "tcp" {
		return nil
	}
	if f.cfg.Sockets < f.cfg.Sessions {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	}
	if err := unix.Connect(fd, to); err != nil {
		return fmt.Errorf("load: connect: %w", err)
	}
	return f.watch(fd, len(f.sockets)-1, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
}

func (f *Fleet) watch(fd, index, op int, events uint32) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(f.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(index)})
}

// Close closes the sockets without a word.
func (f *Fleet) Close() {
	for _, s := range f.sockets {
		if s.fd >= 0 {
			_ = unix.Close(s.fd)
		}
	}
	_ = unix.Close(f.epoll)
}

// Open opens the sessions, a bounded number at a time.
func (f *Fleet) Open(limit time.Duration) error {
	f.clock()
	for end := f.now + limit; f.begun < len(f.players) || f.opening > 0; f.turn(end) {
		for f.begun < len(f.players) && f.opening < f.cfg.Opening {
			p := &f.players[f.begun]
			f.begun++
			f.opening++
			f.begin(p)
		}
		if f.now > end {
			return fmt.Errorf("load: only %d of %d sessions were open after %v: %+v", f.open, len(f.players), limit, f.counts)
		}
	}
	if f.open < len(f.players) {
		return fmt.Errorf("load: %d of %d sessions are open: %+v", f.open, len(f.players), f.counts)
	}
	return nil
}

// Play lets the players ask for d.
func (f *Fleet) Play(d time.Duration) {
	f.clock()
	end := f.now + d
	if !f.busy {
		f.busy = true
		for i := range f.players {
			p := &f.players[i]
			for p.state == isOpen && p.asked-p.answered < uint64(f.cfg.Window) {
				f.ask(p)
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
	f.counts = Counts{}
}

// Result is what was counted since the last Reset.
func (f *Fleet) Result() (*Histogram, Counts) {
	f.counts.Timeout = 0
	for i := range f.players {
		p := &f.players[i]
		if p.state == isOpen && p.answered < p.asked && f.now-*f.sentAt(p, p.answered) > patience {
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
	wait := max(min(until, f.wheel.Next())-f.now, 0)
	n := f.poll(int((min(wait, time.Hour) + time.Millisecond - 1) / time.Millisecond))
	for rounds := len(f.sockets)/len(f.events) + 1; n == len(f.events) && rounds > 0; rounds-- {
		n = f.poll(0)
	}
	f.clock()
	f.wheel.Advance(f.now, f.visit)
}

func (f *Fleet) poll(milliseconds int) int {
	n, err := unix.EpollWait(f.epoll, f.events[:], milliseconds)
	if err != nil {
		return 0 // EINTR
	}
	for i := range n {
		f.ready(&f.sockets[f.events[i].Fd], f.events[i].Events)
	}
	return n
}

func random() uint64 { return rand.Uint64() }
