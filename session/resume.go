// SPDX-License-Identifier: MIT

package session

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Resume moves the session to a new link. The caller has verified r. It decides
// before it changes anything: a refusal leaves no trace. On success the answer is
// appended to dst, the epoch is the new
// link's, and reset tells that the game must send a snapshot. The answer must be
// written before anything of Output, as WELCOME must.
func (s *Session) Resume(dst []byte, r *ResumeRequest, now time.Duration) (out []byte, reset bool, err *CloseError) {
	switch {
	case s.state == Closed:
		return dst, false, Tombstone{Code: s.reason, Recv: s.recv}.Refusal()
	case r.Attempt <= s.attempt:
		return dst, false, &CloseError{Code: Stale, Detail: s.attempt}
	case !r.Fresh && r.Recv > s.wrote:
		return dst, false, &CloseError{Code: Inconsistent}
	}
	if s.state == Attached && s.confirmed {
		s.graceEnd = now + s.shard.Config.Grace // as if it had been detached now
	}
	s.attempt = r.Attempt
	s.epoch++
	s.state = Attached
	unread := withResumed // the last answer that the client has not read, as far as we know
	if !s.confirmed {
		unread = s.answered
	}
	s.confirmed = false
	switch {
	case unread == withRestart:
		s.answered = withRestart
	case s.overflowed || r.Fresh || r.Recv < s.acked || r.Lowest > s.recv+1:
		s.answered = withReset
	default:
		s.answered = withResumed
		s.trim(&s.shard.Pool, r.Recv)
		s.relink(now)
		return s.appendAnswer(dst, r), false, nil
	}
	if s.overflowed {
		s.reason = Overflow
	} else if unread == withResumed {
		s.reason = Gone
	}
	s.restart(now)
	return s.appendAnswer(dst, r), true, nil
}

// relink attaches a link whose answer tells hold and profile.
func (s *Session) relink(now time.Duration) {
	s.attach(now)
	s.asked, s.tuneDue, s.holdDue = false, false, false
}

// restart gives up what the client has not accepted and goes on behind it.
func (s *Session) restart(now time.Duration) {
	s.clearQueue()
	s.overflowed = false
	s.relink(now)
}

// appendAnswer appends the answer to r, the RESUME that made the current link.
func (s *Session) appendAnswer(dst []byte, r *ResumeRequest) []byte {
	if s.answered != withResumed {
		b := resetBody{s.epoch, s.acked, s.recv, s.holding, uint32(s.reason), s.params().body(), nil}
		if r.Fresh {
			b.Routes = r.Routes
		}
		if s.answered == withRestart {
			return appendControl(dst, codec.Reset, &resetRestartBody{b, true})
		}
		return appendControl(dst, codec.Reset, &b)
	}
	return appendControl(dst, codec.Resumed, &resumedBody{s.epoch, s.recv, s.holding, s.params().body()})
}

// Reopen puts the session, which was never heard, on another link for the same
// HELLO. The WELCOME that follows is the same, unless reset tells that the
// buffer overflowed meanwhile: then the stream starts behind what was given up,
// and the game must send a snapshot.
func (s *Session) Reopen(now time.Duration) (reset bool) {
	if s.state == Closed {
		return false
	}
	s.epoch++
	s.state = Attached
	reset, s.overflowed = s.overflowed, false
	s.attach(now)
	s.asked = false
	return reset
}

// Takeover hands the session to a new login of the same user on another link:
// the stream starts anew behind what either side has sent (SPEC 6.7), as the
// WELCOME that follows tells. The game must send a snapshot. Rename goes before.
func (s *Session) Takeover(now time.Duration) {
	if s.state == Closed {
		return
	}
	s.epoch++
	s.state = Attached
	s.confirmed, s.everHeard, s.answered = false, false, withResumed
	s.restart(now)
	s.holdDue = s.holding // WELCOME does not tell it
}

// Rename gives the session another id, and by it another key: whoever had the
// old ones can't come back with them. Its caller moves it in the Table and
// leaves a tombstone of TakenOver under the old id (SPEC 6.7).
func (s *Session) Rename(id ID) { s.id, s.attempt = id, 0 }
