// SPDX-License-Identifier: MIT

package transport

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// sealedCut is what is left for KCP in the smallest datagram: the seal, and
// the length of no unreliable frames.
const sealedCut = seal.MaxDatagram - seal.Overhead - 1

// datagramSizes are what a path may carry, smallest first: what all do, IPv6
// with tunnels around it, IPv6 on Ethernet, IPv4 on Ethernet.
var datagramSizes = [...]int{seal.MaxDatagram, 1280, 1392, 1452, backend.SlotSize}

const (
	mtuProbeWait   = time.Second      // for the answer to a probe
	maxMTUProbes   = 3                // probes of one size
	mtuSearchAgain = 10 * time.Minute // after the largest size was found
	maxFailures    = 4                // retransmissions before a larger size is given up
)

// mtuSearch looks for a larger datagram that a link's path carries, while the
// link has more to say than fits into the present one: RFC 8899. A challenge that is
// padded to the size in question asks; nothing waits for the answer. Sizes are steps:
// indexes in datagramSizes. The zero value has not begun. Owned by the link.
type mtuSearch struct {
	token [8]byte
	at    time.Duration // no probe before
	step  uint8         // 1 + the step that is asked for
	tries uint8
	seen  uint32 // the link's retransmissions when the present size was found
}

// lost reports whether the path seems to carry the present size no more. step is that
// size.
func (s *mtuSearch) lost(now time.Duration, step int, retransmits uint32) bool {
	if step == 0 || retransmits-s.seen <= maxFailures {
		return false
	}
	// Loss may have other reasons, but then nothing is lost by this.
	*s = mtuSearch{at: now + mtuSearchAgain, step: 1}
	return true
}

// probe says how large a probe is to be sent with s.token, 0 for none. step is the present
// size, which is not lost.
func (s *mtuSearch) probe(now time.Duration, step int) (size int) {
	if now < s.at {
		return 0
	}
	if int(s.step) != step+2 { // another size than the one asked for last
		s.step, s.tries = uint8(step+2), 0
	}
	if step+1 >= len(datagramSizes) || s.tries >= maxMTUProbes {
		s.at, s.tries = now+mtuSearchAgain, 0
		return 0
	}
	s.tries++
	s.at = now + mtuProbeWait
	binary.LittleEndian.PutUint64(s.token[:], rand.Uint64()) // it only needs to differ from those before
	return datagramSizes[step+1]
}

// confirmed takes the answer to a probe and returns the size that it allows. step is
// the present one.
func (s *mtuSearch) confirmed(now time.Duration, step int, retransmits uint32, token [8]byte) (larger int, ok bool) {
	if s.tries == 0 || s.token != token || int(s.step) != step+2 {
		return 0, false
	}
	*s = mtuSearch{at: now, step: s.step, seen: retransmits}
	return step + 1, true
}

// mtuStep is the step of a link's present size.
func mtuStep(mtu int) int {
	for i, size := range datagramSizes {
		if mtu <= size-seal.MaxDatagram+sealedCut {
			return i
		}
	}
	return len(datagramSizes) - 1
}
