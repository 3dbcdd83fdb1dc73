// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// maxNumber is the most datagrams that one key seals.
	maxNumber = 1 << 48
	// maxForged is the most forged datagrams that one key refuses: a sixteenth of
	// the integrity limit of RFC 9001 §6.6.
	maxForged = 1<<32 - 1
)

// Conn seals and opens the datagrams of one link. A handshake makes it; the zero
// value can do neither. Two copies in use would use a nonce twice, so a caller
// that hands its Conn on must not use its own copy again. Owned by the owner of
// the link.
type Conn struct {
	sealer, opener cipher.AEAD
	next           uint64 // number of the next datagram sealed
	upto           uint64 // 1 + the highest number opened
	seen           window
	nonce          [chacha20poly1305.NonceSize]byte // reused by every call: an argument of an interface method escapes
	forged         uint32                           // datagrams refused by opener
	id             uint32
}

// newConn makes a Conn. The keys must be fresh.
func newConn(id uint32, sealKey, openKey []byte) Conn {
	return Conn{sealer: cipherOf(sealKey), opener: cipherOf(openKey), id: id}
}

// cipherOf returns the cipher of a key of 32 bytes.
func cipherOf(key []byte) cipher.AEAD {
	c, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err) // a key of another size
	}
	return c
}

// ID returns the connection id. Every datagram of the link carries it, in both
// directions, and it is the conversation number of the link's KCP.
func (c *Conn) ID() uint32 { return c.id }

// Live reports whether a handshake made c.
func (c *Conn) Live() bool { return c.sealer != nil }

// Seal turns b into a sealed datagram, in place. b is HeaderSize bytes that Seal
// overwrites, then the plaintext; its capacity must hold TagSize bytes more. The
// only error is ErrExhausted: the session must resume on another link.
func (c *Conn) Seal(b []byte, t PacketType) ([]byte, error) {
	if c.next >= maxNumber {
		return nil, ErrExhausted
	}
	binary.LittleEndian.PutUint32(b, c.id)
	binary.LittleEndian.PutUint32(b[4:], uint32(c.next)<<8|uint32(t))
	c.setNonce(c.next)
	c.next++
	return c.sealer.Seal(b[:HeaderSize], c.nonce[:], b[HeaderSize:], b[:HeaderSize]), nil
}

// Opened is the content of an authentic datagram.
type Opened struct {
	Plain  []byte // in the memory of the datagram
	Number uint64 // of the datagram, counted from 0
	Newest bool   // no higher number came before
}

// Open decrypts a datagram of this link in place. The replay window moves only
// if the datagram is authentic and new. After an error the ciphertext is
// overwritten; header and tag are unchanged.
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

// number completes the 24 bits of the number that b carries: of all numbers with
// these low bits it returns the one nearest to the next expected number (SPEC
// 6.1, as RFC 9000 appendix A.3 does).
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

// windowSize is the size of the replay window, in datagrams: more than a link has
// in flight, in 32 bytes for each player.
const windowSize = 256

// window is the replay window: one bit for each of the last windowSize numbers,
// set once the number was received.
type window [windowSize / 64]uint64

func (w *window) has(n uint64) bool { return w[n/64%uint64(len(w))]&(1<<(n%64)) != 0 }

func (w *window) set(n uint64) { w[n/64%uint64(len(w))] |= 1 << (n % 64) }

// advance clears the bits of the numbers from ... to-1.
func (w *window) advance(from, to uint64) {
	if to-from >= windowSize {
		*w = window{}
		return
	}
	for n := from; n < to; n++ {
		w[n/64%uint64(len(w))] &^= 1 << (n % 64)
	}
}
