// SPDX-License-Identifier: MIT

package session

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// greeting answers the server's first word with HELLO or RESUME.
func (c *Client) greeting(p codec.Packet, now time.Duration) error {
	version, nonce, err := parseGreeting(p)
	if err != nil {
		return err
	}
	c.Greeted(version, nonce, now)
	return nil
}

// Greeted tells what a GREETING would. On a sealed link none travels: both
// values come with the link, and so right after LinkUp (SPEC 2.6).
func (c *Client) Greeted(version uint8, nonce Nonce, now time.Duration) {
	if c.state != Opening || c.greeted {
		return
	}
	if version != ProtocolVersion {
		c.finish(&CloseError{Code: Version, Text: fmt.Sprintf("the server speaks version %d", version)})
		return
	}
	c.greeted, c.nonce = true, nonce
	c.ask(now)
}

// openingLife is how long one attempt to log in repeats its opening id and
// ticket. By then no server waits for it any more: SPEC 6.1.
const openingLife = time.Minute

func (c *Client) newOpening(now time.Duration) (ok bool) {
	c.ticket = nil
	if c.cfg.Ticket != nil {
		if c.ticket, ok = c.cfg.Ticket(); !ok {
			return false
		}
	}
	binary.LittleEndian.PutUint64(c.opening[:8], c.cfg.Rand())
	binary.LittleEndian.PutUint64(c.opening[8:], c.cfg.Rand())
	c.asked, c.drawn = true, now
	return true
}

// LogsInAnew reports whether a link that is greeted at that time is asked for another
// login, with another ticket: neither for the session nor for a login that is repeated.
func (c *Client) LogsInAnew(at time.Duration) bool {
	return !c.have && (!c.asked || at-c.drawn >= openingLife)
}

// ask writes what the client wants of a greeted link.
func (c *Client) ask(now time.Duration) {
	if c.have {
		r := ResumeRequest{ID: c.id, Attempt: c.attempt, Fresh: c.fresh, Recv: c.recv, Lowest: c.acked + 1}
		if c.params.Reopens {
			r.Can = CanRestart
		}
		r.Proof = r.proof(c.key, c.nonce)
		c.ctl = r.append(c.ctl)
		return
	}
	if c.LogsInAnew(now) && !c.newOpening(now) {
		c.cut = true // never a login without its ticket
		c.down(now, &CloseError{Code: LinkLost, Text: "no ticket"}, 0, false)
		return
	}
	h := HelloRequest{Version: ProtocolVersion, Nonce: c.nonce, Opening: c.opening, Ticket: c.ticket, Info: c.cfg.Info, Routes: RoutesHash(c.routes), Attempt: c.attempt}
	c.ctl = h.append(c.ctl)
}

// welcome starts a new session. What the app has sent so far waits in the
// buffer and gets its numbers now.
func (c *Client) welcome(p codec.Packet, now time.Duration) error {
	var b welcomeBody
	if err := decodeControl(p, &b); err != nil {
		return err
	}
	params, err := b.Params.params()
	if err != nil {
		return err
	}
	var id ID
	var key, seal Key
	if err := fixed(id[:], b.ID); err != nil {
		return err
	}
	if err := fixed(key[:], b.Key); err != nil {
		return err
	}
	if b.Seal != nil {
		if err := fixed(seal[:], b.Seal); err != nil {
			return err
		}
	}
	if b.Base > maxCount || b.Recv > maxCount {
		return fmt.Errorf("%w: counts %d and %d", ErrControl, b.Base, b.Recv)
	}
	if err := c.learn(b.Routes); err != nil {
		return err
	}
	if c.unreadable(params) {
		return nil
	}
	c.id, c.key, c.seal, c.have, c.fresh = id, key, seal, true, false
	c.params = params
	tooLarge := c.takeTooLarge()
	c.renumber(b.Recv)
	c.recv = b.Base
	c.up(now)
	c.changes = append(c.changes, Change{Kind: Opened, Undelivered: tooLarge})
	return nil
}

// unreadable ends a client that could not read the largest body that the server
// may send it: SPEC 3.4. Else it would come back to that body again and again.
func (c *Client) unreadable(p Params) bool {
	if p.MaxBody <= c.cfg.MaxReceive {
		return false
	}
	c.finish(&CloseError{Code: Version, Text: fmt.Sprintf("the server may send bodies of %d bytes, MaxReceive is %d", p.MaxBody, c.cfg.MaxReceive)})
	c.ctl = AppendBye(c.ctl, &CloseError{Code: Left})
	return true
}

// takeWritten removes what was written and is not acknowledged: a server that was lost
// may have handled it, so it is not written again (SPEC 6.8).
func (c *Client) takeWritten() (taken []codec.Packet) {
	for range c.wrote - c.acked {
		taken = append(taken, c.out.popCopy(c.pool))
	}
	return taken
}

// takeTooLarge removes what the app sent before this server told that it takes
// no bodies of that size: each link would end over it.
func (c *Client) takeTooLarge() (taken []codec.Packet) {
	for range c.out.len() {
		p := c.out.popCopy(c.pool)
		if len(p.Body) > c.params.MaxBody {
			taken = append(taken, p)
			continue
		}
		c.out.push(c.pool, p.Kind, p.Body, false)
	}
	return taken
}

// renumber continues our own stream behind what the server has accepted.
func (c *Client) renumber(accepted uint64) {
	c.acked, c.wrote, c.sent = accepted, accepted, accepted+uint64(c.out.len())
}

func (c *Client) up(now time.Duration) {
	c.attach(now)
	c.state, c.everUp, c.failures, c.referrals, c.retried = Open, true, 0, 0, false
	c.openedAt, c.probeBy = now, Never
	c.pingAt, c.carriedAt = now, 0
	c.ackDue = true                          // a word at once: only a heard client has its grace (SPEC 6.6)
	c.beatEvery = c.below(c.params.Interval) // the first beat of a million clients is spread
}

func (c *Client) resumed(p codec.Packet, now time.Duration) error {
	var b resumedBody
	if err := decodeControl(p, &b); err != nil {
		return err
	}
	params, err := b.Params.params()
	if err != nil {
		return err
	}
	if c.fresh || b.Recv < c.acked || b.Recv > c.wrote {
		return c.contradicted("RESUMED")
	}
	if c.unreadable(params) {
		return nil
	}
	c.trim(c.pool, b.Recv)
	c.back(b.Epoch, params, b.Hold, now)
	c.change(Resumed, nil)
	return nil
}

// reset carries on behind what either side has; only what this client still
// holds itself is sent again. After a restart what was written before is not.
func (c *Client) reset(p codec.Packet, now time.Duration) error {
	var b resetRestartBody
	if err := decodeControl(p, &b); err != nil {
		return err
	}
	params, err := b.Params.params()
	if err != nil {
		return err
	}
	ch := Change{Kind: WasReset, Err: &CloseError{Code: Code(b.Reason), Remote: true}}
	switch {
	case b.Base > maxCount || b.Recv > maxCount:
		return fmt.Errorf("%w: counts %d and %d", ErrControl, b.Base, b.Recv)
	case c.unreadable(params):
		return nil
	case c.fresh:
		if err := c.learn(b.Routes); err != nil {
			return err
		}
		c.renumber(b.Recv)
	case b.Recv < c.acked || b.Recv > c.wrote || b.Base < c.recv:
		return c.contradicted("RESET")
	case b.Restart:
		c.trim(c.pool, b.Recv)
		ch.Restart, ch.Undelivered = true, c.takeWritten()
		c.renumber(b.Recv)
	default:
		c.trim(c.pool, b.Recv)
	}
	c.recv, c.fresh = b.Base, false
	c.back(b.Epoch, params, b.Hold, now)
	c.changes = append(c.changes, ch)
	return nil
}

// contradicted gives up a session whose server tells counts that can't be. The
// next link logs in.
func (c *Client) contradicted(what string) error {
	c.gone(&CloseError{Code: Inconsistent, Text: what + " tells a count that can't be"}, 0)
	return fmt.Errorf("%w: %s tells a count that can't be", ErrControl, what)
}

func (c *Client) back(epoch uint32, params Params, hold bool, now time.Duration) {
	c.epoch, c.params = epoch, params
	c.up(now)
	c.held = hold
}

// triesAbove reports that a REFUSED is followed by another RESUME on the same link: SPEC 8.4.
func (c *Client) triesAbove(why *CloseError) bool {
	return why.Code == Stale && c.have && !c.retried && why.Detail != math.MaxUint64
}

// LogsInAfter reports that a REFUSED is followed by a HELLO on the same link: SPEC 8.5.
func (c *Client) LogsInAfter(why *CloseError) bool {
	return c.state == Opening && c.have && !why.Code.Final() && !why.Code.Resumable() && !c.triesAbove(why)
}

// refused takes the answer that is neither WELCOME nor RESUMED: SPEC 6.4, 8.3.
func (c *Client) refused(p codec.Packet, now time.Duration) error {
	why, err := ParseEnd(p)
	if err != nil {
		return err
	}
	switch {
	case why.Code.Final():
		c.finish(why)
		return nil
	case c.triesAbove(why):
		// A later attempt than ours was accepted, maybe by an earlier run of
		// this app. Try once above it, on the same link.
		c.retried = true
		c.attempt = max(c.attempt, why.Detail) + 1
		c.ask(now)
		return nil
	case c.have && !why.Code.Resumable():
		// The session is gone; this link is as good as any to log in on.
		final := uint64(0)
		if why.Code == Gone {
			final = why.Detail
		}
		c.gone(why, final)
		c.ask(now)
		return nil
	}
	c.cut = true
	if !c.have && !why.Code.Resumable() {
		c.asked = false // this login was answered: the next one is another
	}
	c.down(now, why, 0, false)
	if why.Code == Busy {
		if wait := min(fromMillis(uint32(min(why.Detail, maxMillis))), maxWait); wait > 0 {
			c.dialAt = now + wait + c.below(wait/4)
		}
		c.putOff(why, now)
		return nil
	}
	if why.Code == Moved {
		c.at = why.Text
		if c.referrals++; c.referrals <= followedAtOnce {
			c.follow(now)
		}
	} else {
		c.putOff(why, now)
	}
	if c.have && (why.Code != Moved || c.referrals > maxReferrals) {
		c.failed()
	}
	return nil
}

// putOff tells the app why it waits, which else it could not know before the
// first WELCOME.
func (c *Client) putOff(why *CloseError, now time.Duration) {
	c.changes = append(c.changes, Change{Kind: PutOff, Err: why, Delay: c.dialAt - now})
}
