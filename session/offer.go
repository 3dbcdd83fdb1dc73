// SPDX-License-Identifier: MIT

package session

import "github.com/lifeline-go/lifeline/codec"

// Offer is Send for a packet that may be dropped when the client falls behind: SPEC
// 4.9. tag is not 0. If the buffer is full, Offer drops the oldest packets of the
// tag, then those of other tags, and at last the new one: that is ErrFull. With
// newest the packet replaces all earlier ones of its tag. A packet that was ever
// written stays: the client may have it.
func (s *Session) Offer(kind codec.Kind, body []byte, shared bool, tag uint32, newest bool) error {
	if err := sendable(kind, body, s.shard.Config.MaxBody); err != nil {
		return err
	}
	switch {
	case s.state == Closed:
		return ErrClosed
	case s.overflowed:
		return ErrOverflow
	}
	for newest && s.DropOffered(tag) {
	}
	if s.makeRoom(body, shared, tag) != nil {
		s.dropped++
		return ErrFull
	}
	s.push(&s.shard.Pool, kind, body, shared)
	s.out.at(s.out.len() - 1).tag = tag
	return nil
}

// Dropped returns the number of offered packets that were dropped.
func (s *Session) Dropped() uint32 { return s.dropped }

// makeRoom makes room for one more packet. It drops offered packets.
func (s *Session) makeRoom(body []byte, shared bool, tag uint32) error {
	cfg := s.shard.Config
	for s.out.len() >= cfg.SendPackets || s.out.size()+len(body) > cfg.SendBytes {
		if !s.DropOffered(tag) && !s.DropOffered(0) {
			return ErrOverflow
		}
	}
	for !s.shard.admits(Cost(len(body), shared), s.state == Detached) {
		if !s.DropOffered(tag) && !s.DropOffered(0) {
			return ErrOverBudget
		}
	}
	return nil
}

// DropOffered drops the oldest packet that was offered under a tag, or under any tag
// if tag is 0, and never written to a link: its number is not used yet. The packets
// behind it move up.
func (s *Session) DropOffered(tag uint32) bool {
	for i := int(s.wrote - s.acked); i < s.out.len(); i++ {
		if p := s.out.at(i); p.tag != 0 && (tag == 0 || p.tag == tag) {
			s.out.remove(&s.shard.Pool, i)
			s.sent--
			s.dropped++
			return true
		}
	}
	return false
}
