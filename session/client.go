// SPDX-License-Identifier: MIT

package session

import (
	"encoding/binary"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// ClientConfig says how a client behaves. Rand is required; the rest has
// defaults.
type ClientConfig struct {
	// Ticket returns what the game's authentication hook gets to see. It is
	// called for every new login.
	Ticket func() []byte
	// Info describes the client to the server.
	Info string
	// Token, if not empty, resumes the session of an earlier run of the app
	// instead of logging in.
	Token string
	// MaxPackets and MaxBytes bound what waits to be accepted by the server.
	// If zero, 1,024 packets and 1 MiB.
	MaxPackets, MaxBytes int
	// OpeningTimeout is how long a link has to become a session's. If zero, 5 s.
	OpeningTimeout time.Duration
	// MinDelay and MaxDelay bound the pauses between attempts: the n-th is
	// random in 0 ... min(MaxDelay, MinDelay*2^n). If zero, 0.5 s and 30 s.
	MinDelay, MaxDelay time.Duration
	// Rand returns random bits that nobody can guess.
	Rand func() uint64
}

// ClientState is where a client stands.
type ClientState uint8

const (
	Waiting ClientState = iota // for the time of the next attempt
	Dialing                    // the caller was told to Dial
	Opening                    // a link is up, and HELLO or RESUME on its way
	Open                       // the link carries the session
	Paused                     // in the background, by the app's wish
	Ended                      // final
)

var clientStateNames = [...]string{"waiting", "dialing", "opening", "open", "paused", "ended"}

// String returns the state's name.
func (s ClientState) String() string { return clientStateNames[s] }

// Action is what Check asks of whoever holds the socket.
type Action uint8

const (
	Wait Action = iota
	Dial        // open a link, then call LinkUp or LinkDown
	Cut         // close the link without a word; it is down already as far as the client goes
)

// ChangeKind is what happened to the session as the app should know it.
type ChangeKind uint8

const (
	Opened   ChangeKind = iota + 1 // a new session
	Lost                           // the link is gone; the client is coming back
	Resumed                        // it is back: nothing was lost, nothing comes twice
	WasReset                       // it is back, but the server's stream starts anew: expect a snapshot
	Ending                         // the session is gone: Err tells why, Undelivered what the server never accepted
)

// Change is one step in the life of a client's session.
type Change struct {
	Kind        ChangeKind
	Err         *CloseError
	Undelivered []codec.Packet
}

// Client is the client's end of a session: counting, heartbeat, and the rules
// of coming back (SPEC 8). Like Session it is pure: its owner feeds it with
// packets and times and does what it says. One goroutine or lock owns it.
type Client struct {
	end
	cfg     ClientConfig
	state   ClientState
	params  Params
	id      ID
	key     Key
	have    bool // there is a session to resume
	fresh   bool // what it had received is lost: a restarted app with a stored token
	everUp  bool // this session was Open at least once in this process
	opening [16]byte
	nonce   Nonce
	greeted bool
	knock   bool // the server speaks only after our first heartbeat
	knockAt time.Duration
	epoch   uint32
	attempt uint64
	retried bool // STALE was answered by one more attempt

	ctl       []byte // control frames to write
	changes   []Change
	cut       bool // the link is to be closed
	tries     uint // attempts since the link was last stable
	failures  int  // resumes that failed
	dialAt    time.Duration
	openBy    time.Duration
	openedAt  time.Duration
	beatEvery time.Duration // the present interval with its jitter
	probeBy   time.Duration

	checked time.Duration // of the last Check: now and the wall clock
	wall    time.Time
}

// NewClient makes a client that wants to dial at once.
func NewClient(cfg ClientConfig) (*Client, error) {
	cfg.MaxPackets, cfg.MaxBytes = or(cfg.MaxPackets, 1024), or(cfg.MaxBytes, 1<<20)
	cfg.OpeningTimeout = or(cfg.OpeningTimeout, 5*time.Second)
	cfg.MinDelay, cfg.MaxDelay = or(cfg.MinDelay, 500*time.Millisecond), or(cfg.MaxDelay, 30*time.Second)
	c := &Client{cfg: cfg, probeBy: Never, params: defaultParams}
	c.pool = new(Pool)
	c.newOpening()
	if cfg.Token != "" {
		id, key, err := ParseToken(cfg.Token)
		if err != nil {
			return nil, err
		}
		c.id, c.key, c.have, c.fresh = id, key, true, true
	}
	return c, nil
}

// defaultParams hold until the server dictates its own.
var defaultParams = Params{
	Interval: 10 * time.Second, Timeout: 35 * time.Second, Grace: time.Minute, Window: 2 * time.Second,
	MaxBody: codec.DefaultMaxBody, Packets: 256, Bytes: 128 << 10,
}

func (c *Client) newOpening() {
	binary.LittleEndian.PutUint64(c.opening[:8], c.cfg.Rand())
	binary.LittleEndian.PutUint64(c.opening[8:], c.cfg.Rand())
}

// below returns a random duration in 0 ... d.
func (c *Client) below(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(c.cfg.Rand() % uint64(d))
}

// State returns where the client stands.
func (c *Client) State() ClientState { return c.state }

// ID returns the id of the session, zero before the first.
func (c *Client) ID() ID { return c.id }

// Token returns the reconnect token of the session, empty without one.
func (c *Client) Token() string {
	if !c.have {
		return ""
	}
	return Token(c.id, c.key)
}

// Params returns what the server dictates.
func (c *Client) Params() Params { return c.params }

// RTT returns the smoothed round trip of heartbeats.
func (c *Client) RTT() time.Duration { return c.srtt }

// Queued returns how many packets and body bytes the server has not accepted.
func (c *Client) Queued() (packets, bytes int) { return c.out.len(), c.out.bytes }

// Received returns how many counted packets were accepted.
func (c *Client) Received() uint64 { return c.recv }

// Changes returns what happened since the last call.
func (c *Client) Changes() []Change {
	ch := c.changes
	c.changes = nil
	return ch
}

func (c *Client) change(kind ChangeKind, err *CloseError) {
	c.changes = append(c.changes, Change{Kind: kind, Err: err})
}

// Send appends a counted packet. It may be called at any time, connected or
// not; ErrFull refuses it and what was accepted before is never dropped.
func (c *Client) Send(kind codec.Kind, body []byte) error {
	switch {
	case c.state == Ended:
		return ErrClosed
	case len(body) > c.params.MaxBody:
		return codec.ErrTooLarge
	case c.out.len() >= c.cfg.MaxPackets || c.out.bytes+len(body) > c.cfg.MaxBytes && c.out.len() > 0:
		return ErrFull
	}
	c.push(kind, body, false)
	return nil
}

// Hold asks the server to stop sending counted packets, or to go on.
func (c *Client) Hold(on bool) { c.hold(on) }

// LinkUp tells that the link asked for is there. knock says that its server
// stays silent until it has heard a heartbeat (plain KCP: SPEC 2.2).
func (c *Client) LinkUp(now time.Duration, wall time.Time, knock bool) {
	if c.state != Dialing {
		c.cut = true // nobody waits for it any more
		return
	}
	c.state, c.greeted, c.knock, c.knockAt = Opening, false, knock, now
	c.openBy = now + c.cfg.OpeningTimeout
	c.attempt = max(c.attempt+1, uint64(max(wall.UnixMicro(), 0)))
	c.ctl = c.ctl[:0]
}

// LinkDown tells that the link broke or could not be opened.
func (c *Client) LinkDown(now time.Duration) {
	switch c.state {
	case Dialing, Opening, Open:
		c.down(now, &CloseError{Code: LinkLost}, c.backoff())
	}
}

// backoff is the pause before the next attempt: full jitter, SPEC 8.2.
func (c *Client) backoff() time.Duration {
	d := c.cfg.MaxDelay
	if c.tries < 16 {
		d = min(d, c.cfg.MinDelay<<c.tries)
	}
	return c.below(d)
}

// down leaves the link, whatever state it was in, and plans the next one.
func (c *Client) down(now time.Duration, why *CloseError, delay time.Duration) {
	was := c.state
	c.state, c.probeBy = Waiting, Never
	c.ctl = c.ctl[:0]
	if was == Open {
		if now-c.openedAt >= c.params.Timeout {
			c.tries = 0
			delay = min(delay, c.cfg.MinDelay)
		}
		c.change(Lost, why)
	}
	c.tries++
	c.dialAt = now + delay
	// A link that opened and died before RESUMED is a failed resume; one that
	// could not be opened says nothing about the session (SPEC 8.3).
	if was == Opening && c.greeted && c.have {
		c.failed(now)
	}
	c.giveUpLate(now)
}

func (c *Client) failed(now time.Duration) {
	if c.failures++; c.failures >= 3 {
		c.gone(&CloseError{Code: Unknown, Text: "three resumes failed"}, 0)
	}
}

// giveUpLate ends a session that the server must have given up by now. Only
// the monotonic clock may say so: the wall clock may have been set, and asking
// a server that has forgotten us costs one round trip (SPEC 8.6).
func (c *Client) giveUpLate(now time.Duration) {
	if c.have && c.everUp && c.state != Open && now-c.lastRecv > c.params.Timeout+c.params.Grace {
		c.gone(&CloseError{Code: Expired, Text: "nobody could be reached for the whole grace"}, 0)
	}
}

// gone gives up the session: the next link logs in. final is how much the
// server had accepted at the end, as far as it is known.
func (c *Client) gone(why *CloseError, final uint64) {
	if final <= c.wrote && final > c.acked {
		c.trim(final)
	}
	ch := Change{Kind: Ending, Err: why}
	for i := range c.out.len() {
		p := c.out.at(i)
		ch.Undelivered = append(ch.Undelivered, codec.Packet{Header: codec.Header{Kind: p.kind}, Body: append([]byte(nil), p.body...)})
	}
	c.out.clear(c.pool)
	c.acked, c.wrote, c.sent, c.next, c.recv, c.flight = 0, 0, 0, 1, 0, 0
	c.holdUs, c.holdDue = false, false
	c.have, c.fresh, c.everUp, c.failures, c.retried, c.epoch = false, false, false, 0, false, 0
	c.id, c.key = ID{}, Key{}
	c.newOpening()
	c.changes = append(c.changes, ch)
}

// finish ends the client for good.
func (c *Client) finish(why *CloseError, final uint64) {
	c.gone(why, final)
	c.state, c.cut = Ended, true
}

// Close says goodbye: the caller writes Output once more and closes the link.
func (c *Client) Close() {
	if c.state == Ended {
		return
	}
	var bye []byte
	if c.state == Open {
		bye = AppendBye(nil, Left, "")
	}
	c.finish(&CloseError{Code: Left}, 0)
	c.ctl = bye
}

// Pause goes to the background: the server is told to start the grace now. The
// caller writes Output once more; Check then says Cut.
func (c *Client) Pause(now time.Duration) {
	if c.state == Ended || c.state == Paused {
		return
	}
	c.ctl = c.ctl[:0]
	if c.state == Open {
		c.ctl = appendDetach(c.ctl)
		c.change(Lost, &CloseError{Code: LinkLost, Text: "paused"})
	}
	c.state, c.cut = Paused, true
}

// Hurry makes the next attempt at once: the app came to the foreground, or the
// local network changed.
func (c *Client) Hurry(now time.Duration) {
	switch c.state {
	case Waiting, Paused:
		c.state, c.dialAt, c.tries = Waiting, now, 0
	case Open:
		c.probe(now)
	}
}

// probeLimit is how long a suspected link has to answer: SPEC 8.6.
const probeLimit = 2500 * time.Millisecond

func (c *Client) probe(now time.Duration) {
	c.pingDue = true
	c.probeBy = min(c.probeBy, now+probeLimit)
}

// Due returns when Check has something to do.
func (c *Client) Due() time.Duration {
	switch c.state {
	case Waiting:
		return c.dialAt
	case Opening:
		if c.knock && !c.greeted {
			return min(c.openBy, c.knockAt)
		}
		return c.openBy
	case Open:
		return min(c.lastRecv+c.params.Timeout, c.beatAt(), c.probeBy)
	}
	return Never
}

// beatAt is when the next heartbeat is due: an interval after the last time
// anything was received, or sent, whichever is longer ago.
func (c *Client) beatAt() time.Duration {
	if c.pingDue {
		return Never
	}
	quiet := min(c.lastRecv, c.lastSent)
	if c.pingAt > quiet {
		quiet = c.pingAt // asked already in this silence
	}
	return quiet + c.beatEvery
}

// Check does what is due and says what the owner of the socket must do. Call
// it after everything else that happens and when Due has come.
func (c *Client) Check(now time.Duration, wall time.Time) Action {
	slept := !c.wall.IsZero() && wall.Sub(c.wall)-(now-c.checked) > 2*time.Second
	if c.state == Open && slept {
		c.probe(now) // the device slept, or its clock was set: ask before believing either
	}
	c.checked, c.wall = now, wall
	switch c.state {
	case Opening:
		c.checkOpening(now)
	case Open:
		c.checkOpen(now)
	}
	switch {
	case c.cut:
		c.cut = false
		return Cut
	case c.state == Waiting && now >= c.dialAt:
		c.giveUpLate(now)
		c.state = Dialing
		return Dial
	}
	return Wait
}

func (c *Client) checkOpening(now time.Duration) {
	if now >= c.openBy {
		c.cut = true
		c.down(now, nil, c.backoff())
		return
	}
	if c.knock && !c.greeted && now >= c.knockAt {
		c.knockAt = now + 500*time.Millisecond
		c.ctl = codec.AppendFrame(c.ctl, codec.Header{Kind: codec.Heartbeat}, nil)
	}
}

func (c *Client) checkOpen(now time.Duration) {
	if c.lastRecv+c.params.Timeout <= now || c.probeBy <= now || c.stuck(now, c.params.Timeout) {
		c.cut = true
		c.down(now, &CloseError{Code: LinkLost, Text: "nothing came back in time"}, c.backoff())
		return
	}
	if now >= c.beatAt() {
		c.pingDue = true
		c.beatEvery = c.params.Interval*9/10 + c.below(c.params.Interval/5)
	}
}

// Output appends what is due on the link; counted packets only as far as they
// fit into room bytes.
func (c *Client) Output(dst []byte, now time.Duration, room int) []byte {
	if len(c.ctl) > 0 {
		dst = append(dst, c.ctl...)
		c.ctl = c.ctl[:0]
	}
	if c.state != Open {
		return dst
	}
	w := window{c.params.Packets, c.params.Bytes}
	return c.output(dst, now, room, w, func() uint32 { return uint32(c.cfg.Rand()) })
}

// Saw tells of progress on the link that made no whole packet yet.
func (c *Client) Saw(now time.Duration) {
	if c.state == Open {
		c.heard(now)
	}
}

func (c *Client) heard(now time.Duration) {
	c.lastRecv, c.probeBy = now, Never
}

// Receive takes a packet from the link. deliver says that it is the
// application's. An error ends the link; call LinkDown after closing it.
func (c *Client) Receive(p codec.Packet, now time.Duration) (deliver bool, err error) {
	switch c.state {
	case Opening:
		return false, c.receiveOpening(p, now)
	case Open:
	default:
		return false, ErrFenced // what a left link still delivers
	}
	c.heard(now)
	if err := c.acknowledged(p.Ack, now); err != nil {
		return false, err
	}
	switch {
	case p.Kind == codec.Heartbeat:
		return false, c.beat(p.Header, now, 0)
	case p.Kind.Counted():
		return c.count(p.Seq, len(p.Body), c.params)
	case p.Kind == codec.Datagram:
		return true, nil
	case p.Kind == codec.Tune:
		return false, c.tuned(p, now)
	case p.Kind == codec.Bye:
		return false, c.bye(p, now)
	case p.Kind == codec.Resumed || p.Kind == codec.Welcome || p.Kind == codec.Move:
		return false, nil // an answer given twice; MOVE waits for a later version
	}
	return false, ErrKind
}

func (c *Client) tuned(p codec.Packet, now time.Duration) error {
	var b tuneBody
	if err := decodeControl(p, &b); err != nil {
		return err
	}
	if b.Interval == 0 || b.Timeout < 2*b.Interval {
		return ErrControl
	}
	c.params.Interval, c.params.Timeout = fromMillis(b.Interval), fromMillis(b.Timeout)
	c.beatEvery = min(c.beatEvery, c.params.Interval)
	return nil
}

// bye takes the server's goodbye. The range of its code says what to do.
func (c *Client) bye(p codec.Packet, now time.Duration) error {
	why, err := ParseEnd(p)
	if err != nil {
		return err
	}
	switch {
	case why.Code.Final():
		c.finish(why, 0)
	case why.Code.Resumable():
		c.cut = true
		c.down(now, why, c.below(c.params.Window))
	default:
		c.cut = true
		c.down(now, why, c.below(c.params.Window))
		if c.have {
			c.gone(why, 0)
		}
	}
	return nil
}

// receiveOpening takes the packets of a link that carries no session yet.
func (c *Client) receiveOpening(p codec.Packet, now time.Duration) error {
	switch {
	case p.Kind == codec.Heartbeat:
		return nil
	case p.Kind == codec.Greeting && !c.greeted:
		return c.greeting(p)
	case !c.greeted:
		return ErrKind
	case p.Kind == codec.Welcome && !c.have:
		return c.welcome(p, now)
	case p.Kind == codec.Resumed && c.have:
		return c.resumed(p, now)
	case p.Kind == codec.Reset && c.have:
		return c.reset(p, now)
	case p.Kind == codec.Refused || p.Kind == codec.Bye:
		return c.refused(p, now)
	}
	return ErrKind
}
