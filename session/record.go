// SPDX-License-Identifier: MIT

package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// ErrRecord refuses bytes that are no record of a session.
var ErrRecord = errors.New("session: not a session's record")

// recordVersion is what this code writes and reads. Fields that are appended
// need no new one: an older reader skips them, a newer one reads zero.
const recordVersion = 1

// Record is a session between two servers: all that the next one needs to
// carry it on, as one value (SPEC 14). It holds no key, which follows from the
// id, but what was sent to the player: keep it as safe as a log of that.
type Record struct {
	ID     ID
	User   string
	Routes []byte // RoutesHash of the dictionary its client goes by; nil: it goes by names
	App    []byte // the game's own
	// Epoch fences: of two records of a session the one with the lower epoch is
	// the older, and whoever writes it is not the owner any more.
	Epoch uint32
	// Sealed tells that its client has a seal key: it was opened on a sealed link.
	Sealed bool
	// Orphan tells that no server has the session: it is what Orphan made of a RESUME.
	Orphan bool

	attempt           uint64
	acked, wrote      uint64
	recv              uint64
	interval, timeout time.Duration
	age, grace        time.Duration
	overflows         uint8
	overflowAgo       time.Duration
	overflowed        bool
	reason            Code
	restart           bool     // its client does not know yet that its server was lost: SPEC 6.8
	packets           []packet // acked+1 ...
}

// recordBody is a Record as it is stored.
type recordBody struct {
	Version           uint8
	ID                []byte
	User              string
	Routes            []byte
	App               []byte
	Epoch             uint32
	Attempt           uint64
	Acked, Wrote      uint64
	Recv              uint64
	Interval, Timeout uint32 // milliseconds, as all times here
	Age, Grace        uint64
	Overflows         uint8
	OverflowAgo       uint64
	Overflowed        bool
	Reason            uint32
	Packets           []recordPacket
	Sealed            bool
	Restart, Orphan   bool
}

type recordPacket struct {
	Kind uint8
	Body []byte
}

// Record returns the detached session as it stands. What is missing, the user
// and what the framework adds, is its caller's to fill in.
func (s *Session) Record(now time.Duration) *Record {
	r := &Record{
		ID: s.id, Epoch: s.epoch, attempt: s.attempt, acked: s.acked, wrote: s.wrote, recv: s.recv,
		interval: s.interval, timeout: s.timeout, age: now - s.openedAt, grace: max(s.graceEnd-now, 0),
		overflows: s.overflows, overflowAgo: now - s.overflowAt.time(), overflowed: s.overflowed,
	}
	if s.answered != withResumed && !s.confirmed { // as far as we know its client has not read why
		r.reason, r.restart = s.reason, s.answered == withRestart
	}
	for i := range s.out.len() {
		p := *s.out.at(i)
		p.body = append([]byte(nil), p.body...)
		r.packets = append(r.packets, p)
	}
	return r
}

// Orphan makes the record of a session whose server was lost with all that it knew, from
// what its client claims in a RESUME (SPEC 6.8). The user and what the framework adds are
// its caller's to fill in.
func Orphan(r *ResumeRequest) *Record {
	return &Record{
		ID: r.ID, Orphan: true, attempt: r.Attempt - 1, acked: min(r.Recv, maxCount), wrote: min(r.Recv, maxCount),
		recv: min(max(r.Lowest, 1)-1, maxCount), grace: maxDuration, overflowAgo: maxDuration, reason: Gone, restart: !r.Fresh,
	}
}

// Restore makes s the session of a record, without a link and in an epoch of
// its own. What is more than this server keeps for a player is given up: its
// next resume answers RESET.
func (s *Session) Restore(shard *Shard, r *Record, now time.Duration) {
	cfg := shard.Config
	s.Open(shard, r.ID, now)
	s.state, s.everHeard = Detached, true
	s.epoch, s.attempt = r.Epoch+1, r.attempt
	s.acked, s.wrote, s.sent, s.recv = r.acked, r.wrote, r.acked, r.recv
	s.attach(now)
	if cfg.CheckProfile(r.interval, r.timeout) == nil {
		s.interval, s.timeout = r.interval, r.timeout
	}
	s.openedAt, s.graceEnd = now-r.age, now+min(r.grace, cfg.Grace)
	s.reason = r.reason
	switch {
	case r.restart:
		s.answered = withRestart
	case r.reason != 0:
		s.answered = withReset
	}
	for _, p := range r.packets {
		if s.Send(p.kind, p.body, false, now) != nil {
			s.overflowed = true
			break
		}
	}
	s.sent = r.acked + uint64(len(r.packets))
	if s.overflowed || r.overflowed {
		s.giveUp()
	}
	s.overflows, s.overflowAt = 0, 0 // what was given up here is no fault of the player's
	if r.overflowAgo <= cfg.Grace {
		s.overflows, s.overflowAt = r.overflows, secondOf(now-r.overflowAgo)
	}
}

// Append appends the record as it is stored.
func (r *Record) Append(dst []byte) []byte {
	b := recordBody{
		Version: recordVersion, ID: r.ID[:], User: r.User, Routes: r.Routes, App: r.App, Epoch: r.Epoch,
		Attempt: r.attempt, Acked: r.acked, Wrote: r.wrote, Recv: r.recv,
		Interval: millis(r.interval), Timeout: millis(r.timeout),
		Age: uint64(r.age.Milliseconds()), Grace: uint64(r.grace.Milliseconds()),
		Overflows: r.overflows, OverflowAgo: uint64(r.overflowAgo.Milliseconds()), Overflowed: r.overflowed,
		Reason: uint32(r.reason), Packets: make([]recordPacket, len(r.packets)), Sealed: r.Sealed, Restart: r.restart, Orphan: r.Orphan,
	}
	for i, p := range r.packets {
		b.Packets[i] = recordPacket{uint8(p.kind), p.body}
	}
	dst, err := codec.AppendBody(dst, &b)
	if err != nil {
		panic(fmt.Sprintf("session: encode a record: %v", err)) // it is ours, so it can't fail
	}
	return dst
}

// ParseRecord reads what Append wrote.
func ParseRecord(b []byte) (*Record, error) {
	var body recordBody
	if err := codec.DecodeBody(b, &body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	sent := body.Acked + uint64(len(body.Packets))
	switch {
	case body.Version != recordVersion:
		return nil, fmt.Errorf("%w of a version known here: %d", ErrRecord, body.Version)
	case len(body.ID) != len(ID{}):
		return nil, fmt.Errorf("%w: an id of %d bytes", ErrRecord, len(body.ID))
	case body.Acked > body.Wrote || body.Wrote > sent || sent > maxCount || body.Recv > maxCount || len(body.Packets) > maxWindow:
		return nil, fmt.Errorf("%w: acked %d, wrote %d, %d packets, received %d", ErrRecord, body.Acked, body.Wrote, len(body.Packets), body.Recv)
	case body.Epoch > 1<<31:
		return nil, fmt.Errorf("%w: epoch %d", ErrRecord, body.Epoch)
	}
	r := &Record{
		ID: ID(body.ID), User: body.User, Routes: body.Routes, App: body.App, Epoch: body.Epoch, Sealed: body.Sealed, Orphan: body.Orphan,
		attempt: body.Attempt, acked: body.Acked, wrote: body.Wrote, recv: body.Recv,
		interval: fromMillis(body.Interval), timeout: fromMillis(body.Timeout), age: longMillis(body.Age), grace: longMillis(body.Grace),
		overflows: body.Overflows, overflowAgo: longMillis(body.OverflowAgo), overflowed: body.Overflowed, reason: Code(body.Reason), restart: body.Restart,
		packets: make([]packet, 0, len(body.Packets)),
	}
	for _, p := range body.Packets {
		kind := codec.Kind(p.Kind)
		if err := sendable(kind, p.Body, 1<<28); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRecord, err)
		}
		r.packets = append(r.packets, packet{body: p.Body, kind: kind})
	}
	return r, nil
}

// longMillis is fromMillis for times as long as a session lives.
func longMillis(ms uint64) time.Duration {
	return time.Duration(min(ms, uint64(Never/4/time.Millisecond))) * time.Millisecond
}
