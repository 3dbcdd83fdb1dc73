// SPDX-License-Identifier: MIT

package session

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// DefaultMaxReceive is ClientConfig.MaxReceive if that is zero.
const DefaultMaxReceive = 1 << 20

// ClientConfig says how a client behaves. Rand is required; the rest has
// defaults.
type ClientConfig struct {
	// Ticket returns what the game's authentication hook gets to see. It is
	// called for every new login; one that is repeated because its answer was
	// lost repeats its ticket. False: there is none at present, so the attempt
	// to log in has failed, and another one follows.
	Ticket func() (ticket []byte, ok bool)
	// Info describes the client to the server.
	Info string
	// Token, if not empty, resumes the session of an earlier run of the app
	// instead of logging in.
	Token string
	// MaxPackets and MaxBytes bound what waits to be accepted by the server.
	// If zero, 1,024 packets and 1 MiB.
	MaxPackets, MaxBytes int
	// MaxReceive is the largest body that this client reads, in bytes. A server
	// that may send larger ones ends it: Version. If zero, 1 MiB. At least 64 KiB.
	MaxReceive int
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
	Ending                         // the session is gone: Err tells why
	Moving                         // the server will let it go after Delay, to Address
	PutOff                         // the server said no for now: Err tells why, and the next attempt is after Delay
)

// Change is one step in the life of a client's session.
type Change struct {
	Kind    ChangeKind
	Err     *CloseError
	Stuck   bool          // Lost: something came in time, but not the answer to a question. Another way may do better
	Delay   time.Duration // Moving, PutOff
	Restart bool          // WasReset: by another server, since that of the session was lost (SPEC 6.8)
	Address string        // Moving: empty, or as Client.Address
	// Undelivered is what was sent and will not arrive. At Ending: all that the
	// server is not known to have accepted, exactly what it did not accept where
	// it told its final count (Gone). At Opened: bodies larger than it takes. At
	// WasReset: what a server that was lost may have handled, or not.
	Undelivered []codec.Packet
}

// Client is the client's end of a session: counting, heartbeat, and the rules
// of coming back (SPEC 8). Like Session it is pure: its owner feeds it with
// packets and times and does what it says. One goroutine or lock owns it.
type Client struct {
	endpoint
	pool    *Pool
	cfg     ClientConfig
	state   ClientState
	params  Params
	id      ID
	key     Key
	seal    Key  // zero unless WELCOME came over a sealed link
	have    bool // there is a session to resume
	fresh   bool // what it had received is lost: a restarted app with a stored token
	everUp  bool // this session was Open at least once in this process
	opening [16]byte
	ticket  []byte        // that goes with it
	drawn   time.Duration // when both were made
	asked   bool          // they are in use
	nonce   Nonce
	greeted bool
	knock   bool // the server speaks only after our first heartbeat
	knockAt time.Duration
	epoch   uint32
	attempt uint64
	at      string // where the server sent us (8.9), empty: anywhere
	moveTo  string // where it will (3.11), at moveAt
	moveAt  time.Duration
	retried bool     // STALE was answered by one more attempt
	routes  []string // the last dictionary that a server told
	numbers bool     // the session's server goes by it

	ctl       []byte // control frames to write
	changes   []Change
	cut       bool // the link is to be closed
	tries     uint // attempts since the link was last stable
	failures  int  // resumes that failed
	referrals int  // REFUSED{MOVED} since the session was last open
	dialAt    time.Duration
	openBy    time.Duration
	openedAt  time.Duration
	beatEvery time.Duration // the present interval with its jitter
	probeBy   time.Duration
	carriedAt time.Duration

	checked time.Duration // of the last Check: now and the wall clock
	wall    time.Time
	due     time.Duration // when that Check wanted the next one
}

// NewClient makes a client that wants to dial at once.
func NewClient(cfg ClientConfig) (*Client, error) {
	cfg.MaxPackets, cfg.MaxBytes = cmp.Or(cfg.MaxPackets, 1024), cmp.Or(cfg.MaxBytes, 1<<20)
	cfg.MaxReceive = cmp.Or(cfg.MaxReceive, DefaultMaxReceive)
	cfg.OpeningTimeout = cmp.Or(cfg.OpeningTimeout, 5*time.Second)
	cfg.MinDelay, cfg.MaxDelay = cmp.Or(cfg.MinDelay, 500*time.Millisecond), cmp.Or(cfg.MaxDelay, 30*time.Second)
	switch {
	case cfg.Rand == nil:
		return nil, errors.New("session: ClientConfig.Rand is missing")
	case cfg.MaxPackets < 0 || cfg.MaxBytes < 0:
		return nil, fmt.Errorf("session: MaxPackets %d or MaxBytes %d is negative", cfg.MaxPackets, cfg.MaxBytes)
	case cfg.MaxReceive < codec.DefaultMaxBody:
		return nil, fmt.Errorf("session: MaxReceive %d is below %d, which every server may send", cfg.MaxReceive, codec.DefaultMaxBody)
	case cfg.OpeningTimeout < 0 || cfg.OpeningTimeout > maxDuration:
		return nil, fmt.Errorf("session: OpeningTimeout %v is outside 0 ... %v", cfg.OpeningTimeout, maxDuration)
	case cfg.MinDelay < 0 || cfg.MaxDelay < cfg.MinDelay || cfg.MaxDelay > maxDuration:
		return nil, fmt.Errorf("session: MinDelay %v ... MaxDelay %v is no range up to %v", cfg.MinDelay, cfg.MaxDelay, maxDuration)
	}
	c := &Client{cfg: cfg, probeBy: Never, due: Never, params: defaultParams}
	c.pool, c.next = new(Pool), 1
	if cfg.Token != "" {
		id, key, seal, err := ParseToken(cfg.Token)
		if err != nil {
			return nil, err
		}
		c.id, c.key, c.seal, c.have, c.fresh = id, key, seal, true, true
	}
	return c, nil
}

// defaultParams hold until the server dictates its own.
var defaultParams = Params{
	Interval: 10 * time.Second, Timeout: 35 * time.Second, Grace: time.Minute, Window: 2 * time.Second,
	MaxBody: codec.DefaultMaxBody, Packets: 256, Bytes: 128 << 10,
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

// Address returns where the server has sent this client (SPEC 8.9): one or more
// URLs with blanks between. It is empty when any of the app's own will do.
func (c *Client) Address() string { return c.at }

// Token returns the reconnect token of the session, empty without one.
func (c *Client) Token() string {
	if !c.have {
		return ""
	}
	return Token(c.id, c.key, c.seal)
}

// SealKey returns what opens a sealed link for the session without public
// keys: SPEC 2.7. ok is false without a session, or if its WELCOME did not come
// over a sealed link.
func (c *Client) SealKey() (id ID, seal Key, ok bool) {
	return c.id, c.seal, c.have && c.seal != Key{}
}

// Params returns what the server dictates.
func (c *Client) Params() Params { return c.params }

// RTT returns the smoothed round trip of heartbeats.
func (c *Client) RTT() time.Duration { return c.srtt.time() }

// Queued returns how many packets and body bytes the server has not accepted.
func (c *Client) Queued() (packets, bytes int) { return c.out.len(), c.out.size() }

// Received returns how many counted packets were accepted.
func (c *Client) Received() uint64 { return c.recv }

// Routes returns the dictionary of the session: route number n is the n-th. It
// is nil while there is none, and never changes: another one is another slice.
func (c *Client) Routes() []string {
	if !c.numbers {
		return nil
	}
	return c.routes
}

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
// not; ErrFull refuses it and what was accepted before is never dropped. What
// no server would take is refused by an error of codec.
func (c *Client) Send(kind codec.Kind, body []byte) error {
	if err := sendable(kind, body, c.params.MaxBody); err != nil {
		return err
	}
	switch {
	case c.state == Ended:
		return ErrClosed
	case c.out.len() >= c.cfg.MaxPackets || c.out.size()+len(body) > c.cfg.MaxBytes && c.out.len() > 0:
		return ErrFull
	}
	c.push(c.pool, kind, body, false)
	return nil
}

// Hold asks the server to stop sending counted packets, or to go on.
func (c *Client) Hold(on bool) { c.hold(on) }

// Close says goodbye: the caller writes Output once more and closes the link.
func (c *Client) Close() {
	if c.state == Ended {
		return
	}
	var bye []byte
	if c.state == Open {
		bye = AppendBye(nil, &CloseError{Code: Left})
	}
	c.finish(&CloseError{Code: Left})
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
		c.moved(now)
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
		// An app may call this with every frame; the server answers only so
		// many pings.
		if c.probeBy == Never && now-c.pingAt >= max(time.Second, c.params.Interval/4) {
			c.probe(now)
		}
	}
}

// probeLimit is how long a suspected link has to answer: SPEC 8.6.
const probeLimit = 2500 * time.Millisecond

func (c *Client) probe(now time.Duration) {
	c.pingDue = true
	c.pings = 3 // this one must arrive: SPEC 5.8
	c.probeBy = min(c.probeBy, now+probeLimit)
}

// Ask has the server acknowledge what was written: its echo tells the count.
func (c *Client) Ask() {
	if c.state == Open {
		c.pingDue, c.pings = true, 3 // in the stream, behind it: SPEC 5.8
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

// OutputDatagram appends the heartbeats that are due and may travel beside the
// stream, where the link has an unreliable channel: SPEC 5.8. Output follows.
func (c *Client) OutputDatagram(dst []byte, now time.Duration) []byte {
	if c.state != Open {
		return dst
	}
	return c.outputDatagram(dst, now, func() uint32 { return uint32(c.cfg.Rand()) })
}

// ReceiveDatagram is Receive for a packet that came beside the stream. One that
// overtook the answer to the opening is for nobody yet.
func (c *Client) ReceiveDatagram(p codec.Packet, now time.Duration) (deliver bool, err error) {
	switch {
	case p.Kind != codec.Heartbeat && p.Kind != codec.Datagram:
		return false, ErrKind
	case c.state == Opening:
		return false, nil
	}
	id, first := c.echoInStream()
	deliver, err = c.Receive(c.ignoringHold(p), now)
	c.echoTravels(p, id, first)
	return deliver, err
}

// Saw tells of bytes of the stream that made no whole packet yet: SPEC 5.2.
func (c *Client) Saw(now time.Duration) {
	if c.state == Open && now > c.lastRecv {
		c.receiveBytes(now)
		c.probeBy = Never
	}
}

// Carried tells when the carrier itself last said something, as an acknowledgement
// of KCP. That is no life of the server, but a sign that the way there is open.
func (c *Client) Carried(at time.Duration) { c.carriedAt = at }

// Unread tells that the caller leaves unread what came: it is in no position to
// judge.
func (c *Client) Unread(now time.Duration) {
	if c.state == Open {
		c.forgiveSilence(now, c.params.Timeout, c.params.Timeout)
		c.probeBy = Never
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
	if carriesAck(p.Kind) {
		if err := c.receiveAck(c.pool, p.Ack, now); err != nil {
			return false, err
		}
	}
	switch {
	case p.Kind == codec.Heartbeat:
		return false, c.receiveHeartbeat(p.Header, now, 0)
	case p.Kind.Counted():
		return c.receiveCounted(p.Seq, len(p.Body), c.params)
	case p.Kind == codec.Datagram:
		return true, nil
	case p.Kind == codec.Tune:
		return false, c.tuned(p)
	case p.Kind == codec.Bye:
		return false, c.bye(p, now)
	case p.Kind == codec.Move:
		return false, c.move(p, now)
	case p.Kind == codec.Resumed || p.Kind == codec.Reset || p.Kind == codec.Welcome:
		return false, nil // an answer given twice
	}
	return false, ErrKind
}

func (c *Client) tuned(p codec.Packet) error {
	var b tuneBody
	if err := decodeControl(p, &b); err != nil {
		return err
	}
	interval, timeout := fromMillis(b.Interval), fromMillis(b.Timeout)
	if interval == 0 || timeout < 2*interval {
		return ErrControl
	}
	c.params.Interval, c.params.Timeout = interval, timeout
	c.beatEvery = min(c.beatEvery, c.params.Interval)
	return nil
}

// bye takes the server's goodbye. The range of its code says what to do.
func (c *Client) bye(p codec.Packet, now time.Duration) error {
	why, err := ParseEnd(p)
	if err != nil {
		return err
	}
	if why.Code.Final() {
		c.finish(why)
		return nil
	}
	c.cut = true
	spread, stuck := min(c.params.Window, maxWait), why.Code == LinkLost && c.brokenOpen()
	if why.Code == Moved {
		c.moveTo, spread = "", 0 // this one knows better, and its server moves us one by one
	}
	c.down(now, why, spread, stuck)
	if why.Code == Moved {
		c.at = why.Text
		c.follow(now)
	}
	if !why.Code.Resumable() && c.have {
		c.gone(why, 0)
	}
	return nil
}

// receiveOpening takes the packets of a link that carries no session yet.
func (c *Client) receiveOpening(p codec.Packet, now time.Duration) error {
	switch {
	case p.Kind == codec.Heartbeat:
		return nil
	case p.Kind == codec.Greeting && !c.greeted:
		return c.greeting(p, now)
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
