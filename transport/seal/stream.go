// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sizes on a sealed byte stream (SPEC 10).
const (
	// StreamHelloSize is the size of what a client begins a stream with.
	StreamHelloSize = 64
	// RecordHead is the size of the length before each record.
	RecordHead = 3
	// RecordOverhead is how much longer a record is than its plaintext.
	RecordOverhead = RecordHead + TagSize
	// MaxRecord is the most plaintext that one record carries.
	MaxRecord = 1<<24 - 1 - TagSize
)

// rekeyEvery is after how many records a direction goes on with another key.
const rekeyEvery = 1 << 16

// ErrRecord ends a stream whose next record has a length that it can't have.
var ErrRecord = errors.New("seal: malformed record")

// Stream seals and opens the records of one link on a byte stream, which keeps
// their order: a number is counted, not sent. A handshake makes it; the zero value
// can do neither. Two copies in use would use a nonce twice. Owned by the owner of
// the link.
type Stream struct {
	sealer, opener cipher.AEAD
	sealed, opened uint64                           // records
	nonce          [chacha20poly1305.NonceSize]byte // reused by every call: an argument of an interface method escapes
}

// AcceptedStream is a link on a byte stream that a server has agreed to.
type AcceptedStream struct {
	Stream   Stream
	Nonce    [16]byte // see Accepted
	Greeting []byte   // see Accepted
}

func newStream(sealKey, openKey []byte) Stream {
	c := newConn(0, sealKey, openKey)
	return Stream{sealer: c.sealer, opener: c.opener}
}

// Live reports whether a handshake made s.
func (s *Stream) Live() bool { return s.sealer != nil }

// Seal turns b into a record, in place. b is RecordHead bytes that Seal overwrites,
// then the plaintext, at most MaxRecord bytes; its capacity must hold TagSize bytes
// more.
func (s *Stream) Seal(b []byte) []byte {
	n := len(b) - RecordHead + TagSize
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
	s.sealer = s.keyFor(s.sealer, s.sealed)
	s.setNonce(s.sealed)
	s.sealed++
	return s.sealer.Seal(b[:RecordHead], s.nonce[:], b[RecordHead:], b[:RecordHead])
}

// RecordSize returns the size of the record that b begins with, or 0 if b is too
// short to tell. A record of more than most bytes of plaintext, or of none, is
// ErrRecord.
func RecordSize(b []byte, most int) (int, error) {
	if len(b) < RecordHead {
		return 0, nil
	}
	n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	if n <= TagSize || n-TagSize > most {
		return 0, ErrRecord
	}
	return RecordHead + n, nil
}

// Open decrypts the next record, a whole one, in place, and returns its plaintext.
// An error ends the link: what arrives in order is authentic, or an attacker has
// changed it. The record is overwritten.
func (s *Stream) Open(record []byte) ([]byte, error) {
	if len(record) < RecordOverhead {
		return nil, ErrRecord
	}
	s.opener = s.keyFor(s.opener, s.opened)
	s.setNonce(s.opened)
	s.opened++
	plain, err := s.opener.Open(record[RecordHead:RecordHead], s.nonce[:], record[RecordHead:], record[:RecordHead])
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}

// keyFor returns the cipher of record n, given that of the record before: Noise's
// REKEY, so that a key that is disclosed later opens no more than rekeyEvery records
// before it.
func (s *Stream) keyFor(c cipher.AEAD, n uint64) cipher.AEAD {
	if n == 0 || n%rekeyEvery != 0 {
		return c
	}
	s.setNonce(1<<64 - 1)
	key := c.Seal(nil, s.nonce[:], make([]byte, chacha20poly1305.KeySize), nil)
	return cipherOf(key[:chacha20poly1305.KeySize])
}

func (s *Stream) setNonce(n uint64) { binary.LittleEndian.PutUint64(s.nonce[4:], n) }
