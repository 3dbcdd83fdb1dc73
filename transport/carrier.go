// SPDX-License-Identifier: MIT

package transport

// Carrier says what carries the frames of a link.
type Carrier uint8

// The carriers that this version serves. How each is made stands in table.go.
const (
	PlainKCP  Carrier = iota + 1 // stock KCP over UDP, no encryption
	TCP                          // frames on a TCP stream
	KCP                          // KCP over UDP, sealed: SPEC 6
	WebSocket                    // frames in binary messages: SPEC 7
	SealedTCP                    // TCP, sealed: SPEC 9

	carriers // one more than there are
)

var carrierNames = [carriers]string{"none", "plain-kcp", "tcp", "kcp", "ws", "stcp"}

// Carriers returns all of them, in no order that means anything.
func Carriers() []Carrier {
	all := make([]Carrier, 0, carriers-1)
	for c := Carrier(1); c < carriers; c++ {
		all = append(all, c)
	}
	return all
}

// Sealed reports whether links of the carrier are encrypted, and the server is
// authenticated, by its key.
func (c Carrier) Sealed() bool { return c == KCP || c == SealedTCP }

// String returns the carrier's name as logs and metrics write it.
func (c Carrier) String() string {
	if c < carriers {
		return carrierNames[c]
	}
	return "unknown"
}
