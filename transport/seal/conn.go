// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// maxNumber bounds the datagrams that a key seals.
	maxNumber = 1 << 48
	// maxForged bounds the datagrams that a key refuses: a sixteenth of how many
	// guesses leave a forgery improbable, by RFC 9001 6.6.
	maxForged = 1<<32 - 1
)

// Conn seals and opens the datagrams of one link. The zero value does neither:
// a handshake makes one. Copying it would use numbers twice, so whoever hands
// one on forgets its own. Owned by whoever owns the link.
type Conn struct {
	sealer, opener cipher.AEAD
	next           uint64 // number of the next datagram sealed
	upto           uint64 // 1 + the highest number opened
	seen           window
	nonce          [chacha20poly1305.NonceSize]byte // memory for a call: what an interface is given escapes
	forged         uint32                           // datagrams refused by opener
	id             uint32
}

// newConn takes keys that nobody has used before.
func newConn(id uint32, sealKey, openKey []byte) Conn {
	s, err := chacha20poly1305.New(sealKey)
	if err != nil {
		panic(err) // a key of another size than 32 bytes
	}
	o, err := chacha20poly1305.New(openKey)
	if err != nil {
		panic(err)
	}
	return Conn{sealer: s, opener: o, id: id}
}

// ID returns the connection id, which names the link in every datagram of both
// directions and is the conversation of its KCP.
func (c *Conn) ID() uint32 { return c.id }

// Live reports whether a handshake made c.
func (c *Conn) Live() bool { return c.sealer != nil }

// Seal turns b into a sealed datagram, in place. b is HeaderSize bytes that are
// overwritten, then the plaintext; its capacity must have room for TagSize
// more. The only error is ErrExhausted: the link needs new keys, by resuming.
func (c *Conn) Seal(b []byte, what byte) ([]byte, error) {
	if c.next >= maxNumber {
		return nil, ErrExhausted
	}
	binary.LittleEndian.PutUint32(b, c.id)
	binary.LittleEndian.PutUint32(b[4:], uint32(c.next)<<8|uint32(what))
	c.setNonce(c.next)
	c.next++
	return c.sealer.Seal(b[:HeaderSize], c.nonce[:], b[HeaderSize:], b[:HeaderSize]), nil
}

// Opened is what Open found.
type Opened struct {
	Plain  []byte // in the memory of the datagram
	Number uint64 // of the datagram, counted from 0
	Newest bool   // no higher number came before
}

// Open opens a datagram of this link in place. Nothing changes unless it is
// authentic and new. After an error the plaintext is lost; header and tag are
// as they came.
func (c *Conn) Open(b []byte) (Opened, error) {
	if len(b) < Overhead {
		return Opened{}, ErrSize
	}
	if c.forged >= maxForged {
		return Opened{}, ErrExhausted
	}
	n := c.number(b)
	if n+windowSize < c.upto || n < c.upto && c.seen.has(n) {
		return Opened{}, ErrReplay
	}
	if n >= maxNumber {
		return Opened{}, ErrForged
	}
	c.setNonce(n)
	plain, err := c.opener.Open(b[HeaderSize:HeaderSize], c.nonce[:], b[HeaderSize:], b[:HeaderSize])
	if err != nil {
		c.forged++
		return Opened{}, ErrForged
	}
	o := Opened{Plain: plain, Number: n, Newest: n >= c.upto}
	if o.Newest {
		c.seen.advance(c.upto, n+1)
		c.upto = n + 1
	}
	c.seen.set(n)
	return o, nil
}

// number puts the bits together that b does not carry: of all numbers with its
// low bits it is the one nearest to what is expected next.
func (c *Conn) number(b []byte) uint64 {
	const span, half = 1 << numberBits, 1 << (numberBits - 1)
	low := uint64(b[5]) | uint64(b[6])<<8 | uint64(b[7])<<16
	n := c.upto&^(span-1) | low
	switch {
	case n+half <= c.upto:
		n += span
	case n > c.upto+half && n >= span:
		n -= span
	}
	return n
}

func (c *Conn) setNonce(n uint64) { binary.LittleEndian.PutUint64(c.nonce[4:], n) }

// windowSize is how far behind the highest number a datagram is still taken:
// more than a link has on the way, in 32 bytes that every player has.
const windowSize = 256

// window remembers which of the last windowSize numbers came.
type window [windowSize / 64]uint64

func (w *window) has(n uint64) bool { return w[n/64%uint64(len(w))]&(1<<(n%64)) != 0 }

func (w *window) set(n uint64) { w[n/64%uint64(len(w))] |= 1 << (n % 64) }

// advance makes room for the numbers from ... to-1.
func (w *window) advance(from, to uint64) {
	if to-from >= windowSize {
		*w = window{}
		return
	}
	for n := from; n < to; n++ {
		w[n/64%uint64(len(w))] &^= 1 << (n % 64)
	}
}
