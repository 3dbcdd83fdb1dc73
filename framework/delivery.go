// SPDX-License-Identifier: MIT

package framework

// Delivery is what may become of the messages of a route on their way to a
// player that does not keep up. It never delays another player.
type Delivery uint8

const (
	// DeliverAll comes exactly once and in order. A player that lets more wait
	// than Session.SendPackets or SendBytes is cut, keeps its session, and comes
	// back to a snapshot (OnSnapshot).
	DeliverAll Delivery = iota
	// DropOldest leaves out the oldest messages of the route that wait, before
	// that happens. What comes, comes once and in order.
	DropOldest
	// DeliverNewest is for positions and the like, of which only the newest counts:
	// it takes the place of those that still wait. Where the carrier has an
	// unreliable channel it goes there, as a datagram, which may be lost; one
	// that was overtaken is dropped.
	DeliverNewest
)

var deliveryNames = [...]string{"every message", "drop oldest", "newest only"}

func (d Delivery) String() string { return deliveryNames[min(int(d), len(deliveryNames)-1)] }
