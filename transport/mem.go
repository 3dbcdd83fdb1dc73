// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Conditions say how badly a Network behaves.
type Conditions struct {
	Delay, Jitter            time.Duration
	Loss, Duplicate, Reorder float64 // datagrams only, each from 0 to 1
	Rate                     int     // bytes per second and direction of one link; 0 is unlimited
}

// Network is a network in memory.
type Network struct{}

// NewNetwork returns an empty network that repeats itself for the same seed.
func NewNetwork(seed uint64, c Conditions) *Network { return &Network{} }

// SetConditions changes the weather for everything sent from now on.
func (n *Network) SetConditions(c Conditions) {}

// CutAll cuts every link that is open.
func (n *Network) CutAll() {}

// Links returns how many client connections are open.
func (n *Network) Links() int { return 0 }

// DialTCP opens a byte stream to a server on the network.
func (n *Network) DialTCP(ctx context.Context, addr netip.AddrPort) (*MemConn, error) {
	return nil, net.ErrClosed
}

// ListenPacket opens a client's datagram socket.
func (n *Network) ListenPacket() (*MemPacketConn, error) { return nil, net.ErrClosed }

// MemConn is a client's end of a byte stream.
type MemConn struct{ net.Conn }

// Cut makes the connection silent in both directions without a word.
func (c *MemConn) Cut() {}

// Reset breaks the connection so that both ends notice.
func (c *MemConn) Reset() {}

// MemPacketConn is a client's datagram socket.
type MemPacketConn struct{ net.PacketConn }

// Cut makes the socket silent in both directions without a word.
func (c *MemPacketConn) Cut() {}
