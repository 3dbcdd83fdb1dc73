// SPDX-License-Identifier: MIT

package session

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// State is where a session stands: SPEC 7.
type State uint8

const (
	Attached State = iota + 1 // a link of the current epoch carries it
	Detached                  // it waits for its player
	Closed                    // absorbing
)

var stateNames = [...]string{"new", "attached", "detached", "closed"}

// String returns the state's name.
func (s State) String() string { return stateNames[s] }

// Shard is what the sessions of one loop share. It is owned by that loop.
type Shard struct {
	Config *Config // with its defaults filled in; immutable
	Pool   Pool
	Rand   func() uint32 // for ping ids

	// Share is how much Pool.Held may reach while More is not nil. More is then
	// asked for at least n bytes more of it, and says no when all shards
	// together have reached what they may; waiting tells that they are for a
	// player who is away.
	Share int
	More  func(n int, waiting bool) bool
}

// admits reports whether a packet of that cost may be kept.
func (sh *Shard) admits(cost int, waiting bool) bool {
	over := sh.Pool.held + cost - sh.Share
	return sh.More == nil || over <= 0 || sh.More(over, waiting)
}

// Event is what a received packet means beyond the session's own bookkeeping.
type Event uint8

const (
	Nothing    Event = iota
	Deliver          // the packet is the application's; it is accepted, counted, and must reach the inbox
	PeerDetach       // the client goes to the background: its link may go, grace starts
	PeerBye          // the player leaves for good
)

// Verdict is what a visit of the timing wheel finds.
type Verdict uint8

const (
	Fine   Verdict = iota
	Probe          // a heartbeat is due: write Output
	Dead           // the link is dead: close it and Detach
	Lapsed         // the grace is over: Close with Expired
	Aged           // MaxAge is over: Close with TooOld
)

// Session is the server's end of one player's session. It is owned by the
// loop of its current link; a detached one by its last loop. It knows links
// only by their epoch: what an earlier epoch does is refused.
type Session struct {
	endpoint
	shard      *Shard
	id         ID
	attempt    uint64 // the last accepted RESUME's
	interval   time.Duration
	timeout    time.Duration
	openedAt   time.Duration
	graceEnd   time.Duration
	overflowAt second
	epoch      uint32
	dropped    uint32 // of what was offered
	reason     Code   // of the end, or before it of the last RESET
	state      State
	overflows  uint8 // that count, since the client acknowledged anything
	confirmed  bool  // a packet arrived on the current link
	everHeard  bool  // ... or on any
	overflowed bool  // the buffer was given up; the next resume answers RESET
	asked      bool  // Check had the client asked in the present silence
	tuneDue    bool
	answered   answer // to the last RESUME
}

// answer is how a RESUME was answered.
type answer uint8

const (
	withResumed answer = iota
	withReset
	withRestart // RESET, and the client gives up what it has written: SPEC 6.8
)

// maxOverflows many that count, each within a grace of the one before, end a session.
const maxOverflows = 3

// Open starts the session on its first link, epoch 1.
func (s *Session) Open(shard *Shard, id ID, now time.Duration) {
	cfg := shard.Config
	*s = Session{shard: shard, id: id, interval: cfg.Interval, timeout: cfg.Timeout, openedAt: now, epoch: 1, state: Attached}
	s.acked, s.wrote, s.sent, s.recv = cfg.first, cfg.first, cfg.first, cfg.first
	s.attach(now)
}

// ID returns the session's id.
func (s *Session) ID() ID { return s.id }

// Epoch returns the number of the current link. It rises with every RESUME.
func (s *Session) Epoch() uint32 { return s.epoch }

// State returns where the session stands.
func (s *Session) State() State { return s.state }

// Reason returns why the session was closed, 0 before that.
func (s *Session) Reason() Code {
	if s.state != Closed {
		return 0
	}
	return s.reason
}

// Confirmed reports whether the client has been heard on the current link.
func (s *Session) Confirmed() bool { return s.confirmed }

// RTT returns the smoothed round trip of heartbeats on the current link, 0
// before the first.
func (s *Session) RTT() time.Duration { return s.srtt.time() }

// Queued returns how many packets and body bytes wait for acknowledgement.
func (s *Session) Queued() (packets, bytes int) { return s.out.len(), s.out.size() }

// OpenedAt returns when the session was opened.
func (s *Session) OpenedAt() time.Duration { return s.openedAt }

// Received returns how many counted packets were accepted.
func (s *Session) Received() uint64 { return s.recv }

// Leave takes the session, and its part of the Share, from the shard that owns
// it. Adopt by its next owner must follow.
func (s *Session) Leave() { s.shard.transfer(-s.out.cost()) }

// Adopt makes shard the session's owner.
func (s *Session) Adopt(shard *Shard) {
	s.shard = shard
	shard.transfer(s.out.cost())
}

func (sh *Shard) transfer(cost int) {
	sh.Pool.held += cost
	sh.Share += cost
}

// AppendWelcome appends the WELCOME that answers a HELLO. It is the same every
// time until the client is heard: SPEC 6.1. seal opens further sealed links
// (SPEC 2.7); it is zero on a link that is not sealed itself, which it must not
// travel on. routes is the dictionary, nil for a client that has it, or that
// knows names only.
func (s *Session) AppendWelcome(dst []byte, key, seal Key, routes []string) []byte {
	b := &welcomeBody{
		ID: s.id[:], Key: key[:], Base: s.acked, Recv: s.recv,
		Params: s.params().body(), Routes: routes,
	}
	if seal != (Key{}) {
		b.Seal = seal[:]
	}
	return appendControl(dst, codec.Welcome, b)
}

func (s *Session) params() Params { return s.shard.Config.params(s.interval, s.timeout) }

// Send appends a counted packet for the client. A shared body is kept, not
// copied, and must never change. ErrOverflow says that the client fell too far
// behind: its buffer is given up, its link must be closed, and the next resume
// will answer RESET. ErrOverBudget says the same because all sessions together have
// too much. What no client would take is refused by an error of codec
// and harms nothing. Send never blocks. What was offered makes room for it.
func (s *Session) Send(kind codec.Kind, body []byte, shared bool, now time.Duration) error {
	if err := sendable(kind, body, s.shard.Config.MaxBody); err != nil {
		return err
	}
	switch {
	case s.state == Closed:
		return ErrClosed
	case s.overflowed:
		return ErrOverflow
	}
	if err := s.makeRoom(body, shared, 0); err != nil {
		s.Overflow(now)
		return err
	}
	s.push(&s.shard.Pool, kind, body, shared)
	return nil
}

// Overflow gives up what waits for the client: its link must be closed, and the
// next resume answers RESET. It counts against a client that had a link and the
// time to acknowledge something, and did not. A client that reads, however
// slowly, is not ended because of what others send: SPEC 4.9.
func (s *Session) Overflow(now time.Duration) {
	if s.state == Attached && now-s.progressAt >= s.timeout/2 {
		if now-s.overflowAt.time() > s.shard.Config.Grace {
			s.overflows = 0
		}
		s.overflowAt = secondOf(now)
		s.overflows++
	}
	s.giveUp()
}

// giveUp drops what waits for the client. What found no room has a number, too: so a
// client that has accepted all the others is told RESET until it has read one.
func (s *Session) giveUp() {
	s.overflowed = true
	s.sent++
	s.clearQueue()
}

// clearQueue drops what was sent and not acknowledged: the numbers stay used.
func (s *Session) clearQueue() {
	s.out.clear(&s.shard.Pool)
	s.acked, s.wrote, s.next, s.inFlight = s.sent, s.sent, s.sent+1, 0
}

// Spent reports whether the session overflowed so often that it must end.
func (s *Session) Spent() bool { return s.overflows >= maxOverflows }

// Overflowed reports whether the buffer was given up and RESET is due.
func (s *Session) Overflowed() bool { return s.overflowed }

// Hold asks the client to stop sending counted packets, or to go on.
func (s *Session) Hold(on bool) { s.hold(on) }

// Tune changes the session's heartbeat profile; the client is told. It returns
// ErrProfile and changes nothing when New would have refused the profile.
func (s *Session) Tune(interval, timeout time.Duration) error {
	if s.shard.Config.CheckProfile(interval, timeout) != nil {
		return ErrProfile
	}
	if s.interval != interval || s.timeout != timeout {
		s.interval, s.timeout, s.tuneDue, s.asked = interval, timeout, true, false
	}
	return nil
}

// Output appends what is due on the link of the given epoch, counted packets
// only as far as they fit into room bytes. An empty link must offer room for the
// largest frame there may be, or that one never leaves.
func (s *Session) Output(dst []byte, epoch uint32, now time.Duration, room int) []byte {
	if s.state != Attached || epoch != s.epoch {
		return dst
	}
	if s.tuneDue {
		s.tuneDue = false
		dst = appendControl(dst, codec.Tune, &tuneBody{millis(s.interval), millis(s.timeout)})
	}
	return s.output(dst, now, room, s.window(), s.shard.Rand)
}

// OutputDatagram appends the heartbeats that are due and may travel in datagrams, if
// the link has an unreliable channel: SPEC 5.8. Output follows. A
// server has echoes only: it asks once, and that must arrive.
func (s *Session) OutputDatagram(dst []byte, epoch uint32, now time.Duration) []byte {
	if s.state != Attached || epoch != s.epoch {
		return dst
	}
	return s.outputDatagram(dst, now, nil)
}

// ReceiveDatagram is Receive for a packet that came in a datagram.
func (s *Session) ReceiveDatagram(epoch uint32, p codec.Packet, now time.Duration) (Event, error) {
	if p.Kind != codec.Heartbeat && p.Kind != codec.Datagram {
		return Nothing, ErrKind
	}
	id, first := s.echoInStream()
	ev, err := s.Receive(epoch, s.ignoringHold(p), now)
	s.echoTravels(p, id, first)
	return ev, err
}

// Unwritten reports whether counted packets wait that were never written to the
// current link.
func (s *Session) Unwritten() bool { return s.next <= s.sent }

// Wants reports whether Output has anything to write, room given.
func (s *Session) Wants() bool { return s.state == Attached && (s.tuneDue || s.wants(s.window())) }

func (s *Session) window() window {
	return window{s.shard.Config.SendPackets, s.shard.Config.SendBytes}
}

// Receive takes a packet from the link of the given epoch. An error ends that
// link; the session itself lives on.
func (s *Session) Receive(epoch uint32, p codec.Packet, now time.Duration) (Event, error) {
	if s.state != Attached || epoch != s.epoch {
		return Nothing, ErrFenced
	}
	s.lastRecv, s.asked, s.confirmed, s.everHeard = now, false, true, true
	if carriesAck(p.Kind) {
		before := s.acked
		if err := s.receiveAck(&s.shard.Pool, p.Ack, now); err != nil {
			return Nothing, err
		}
		if s.acked > before {
			s.overflows = 0 // the client reads, if not as fast as others send: SPEC 4.9
		}
	}
	switch {
	case p.Kind == codec.Heartbeat:
		err := s.receiveHeartbeat(p.Header, now, s.interval)
		if s.echoDue && s.next > s.acked+1 && (!s.pingOpen || now-s.pingAt > s.interval/2) {
			s.pingDue = true // the client asks, so its silence never will: SPEC 4.5
		}
		return Nothing, err
	case p.Kind.Counted():
		accept, err := s.receiveCounted(p.Seq, len(p.Body), s.params())
		if !accept {
			return Nothing, err
		}
		return Deliver, nil
	case p.Kind == codec.Datagram:
		return Deliver, nil
	case p.Kind == codec.Detach:
		return PeerDetach, nil
	case p.Kind == codec.Bye:
		return PeerBye, nil
	}
	return Nothing, ErrKind
}

// Saw records bytes of the stream that complete no packet yet: SPEC 5.2.
func (s *Session) Saw(at time.Duration) {
	if at > s.lastRecv {
		s.receiveBytes(at)
		s.asked = false
	}
}

// Due returns when Check has something to decide. It becomes later by itself
// all the time; only Open, Reopen, Takeover, Resume, Detach and Tune may make
// it earlier, and after these the wheel must be Set.
func (s *Session) Due() time.Duration {
	aged := Never
	if maxAge := s.shard.Config.MaxAge; maxAge != Never {
		aged = s.openedAt + maxAge
	}
	switch s.state {
	case Attached:
		if s.asked {
			return min(s.lastRecv+s.timeout, aged)
		}
		return min(s.lastRecv+s.suspicion(), aged)
	case Detached:
		return min(s.graceEnd, aged)
	}
	return Never
}

// suspicion is the silence after which the server asks once: SPEC 5.1.
func (s *Session) suspicion() time.Duration { return s.timeout * 6 / 10 }

// Check judges the session's deadlines. late is how long this visit itself
// comes too late: a server that was suspended pings before it declares a link dead
// (SPEC 5.4).
func (s *Session) Check(now, late time.Duration) Verdict {
	stoodStill := late > 4*s.shard.Config.Tick
	if s.state != Closed && s.shard.Config.MaxAge != Never && now-s.openedAt >= s.shard.Config.MaxAge {
		return Aged
	}
	switch s.state {
	case Attached:
		silent := now - s.lastRecv
		switch {
		case silent >= s.timeout && (stoodStill || !s.asked):
			// We were not there to ask, or the timeout was shortened meanwhile.
			s.forgiveSilence(now, s.timeout, s.timeout-s.suspicion())
			s.pingDue, s.asked = true, true
			return Probe
		case silent >= s.timeout || !stoodStill && s.stuck(now, s.timeout):
			return Dead
		case silent >= s.suspicion() && !s.asked:
			s.pingDue, s.asked = true, true
			return Probe
		case now-s.lastSent >= s.timeout/3:
			s.ackDue = true // the client's own ping may wait behind a large frame: SPEC 5.2
			return Probe
		}
	case Detached:
		if now < s.graceEnd {
			return Fine
		}
		if stoodStill {
			s.graceEnd = now + min(late, s.shard.Config.Grace)
			return Fine
		}
		return Lapsed
	}
	return Fine
}

// Detach ends the link of the given epoch and starts the grace. It reports
// false when that link is not the session's any more.
func (s *Session) Detach(epoch uint32, now time.Duration) bool {
	if s.state != Attached || epoch != s.epoch {
		return false
	}
	s.state = Detached
	switch {
	case s.confirmed || s.overflowed: // an overflow ends the link before the client could write
		s.graceEnd = now + s.shard.Config.Grace
	case !s.everHeard:
		// No packet was ever received: wait for a repeated HELLO and no longer.
		s.graceEnd = now + s.shard.Config.OpeningTimeout
	default:
		// A resume that was not confirmed does not renew the grace: SPEC 6.6.
	}
	return true
}

// Reattach takes Detach back: the link of the present epoch was given up, and is still
// there to be written to. It reports false if the session is not detached.
func (s *Session) Reattach() bool {
	if s.state != Detached {
		return false
	}
	s.state = Attached
	return true
}

// Close ends the session. It reports false when it was closed before.
func (s *Session) Close(code Code) bool {
	if s.state == Closed {
		return false
	}
	s.clearQueue()
	s.state, s.reason = Closed, code
	return true
}
