// SPDX-License-Identifier: MIT

package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// ID names a session: node, boot and 80 random bits (SPEC 2.3). It is no
// secret and authorizes nothing.
type ID [16]byte

// NewID draws an id for a session of this node and boot.
func NewID(node uint16, boot uint32, rand io.Reader) (ID, error) {
	var id ID
	binary.LittleEndian.PutUint16(id[0:], node)
	binary.LittleEndian.PutUint32(id[2:], boot)
	_, err := io.ReadFull(rand, id[6:])
	return id, err
}

// UserHash is what the ids of one user's sessions have in common where servers share
// a directory of users (SPEC 2.3).
type UserHash [6]byte

// UserHash returns what the ids of a user's sessions have in common: SPEC 2.3.
func (s Secret) UserHash(user string) UserHash {
	m := hmac.New(sha256.New, s[:])
	m.Write([]byte("lifeline/user/1"))
	m.Write([]byte(user))
	return UserHash(m.Sum(nil)[:len(UserHash{})])
}

// NewUserID is NewID for a session of a user: 48 of its random bits are h.
func NewUserID(node uint16, boot uint32, h UserHash, rand io.Reader) (ID, error) {
	id, err := NewID(node, boot, rand)
	copy(id[6:], h[:])
	return id, err
}

// UserHash returns the part that NewUserID was told.
func (id ID) UserHash() UserHash { return UserHash(id[6:12]) }

// Node returns the number of the server that opened the session.
func (id ID) Node() uint16 { return binary.LittleEndian.Uint16(id[:]) }

// Boot returns the boot of the server that opened the session.
func (id ID) Boot() uint32 { return binary.LittleEndian.Uint32(id[2:]) }

// String returns the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	if b, err := hex.DecodeString(s); err != nil || copy(id[:], b) != len(id) || len(b) != len(id) {
		return ID{}, errors.New("session: not a session id")
	}
	return id, nil
}

// MarshalText makes an ID readable in JSON and logs.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText wrote, so that a message can name a session.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// Nonce is the 16 random bytes of a link's GREETING.
type Nonce [16]byte

// Key proves the ownership of one session. Whoever holds it is the player.
type Key [32]byte

// Secret is the server's own key, from which every session's Key follows. So
// a RESUME is verified before anything is looked up.
type Secret [32]byte

// Keys derives the keys of sessions from a Secret, and checks proofs. It uses
// its memory again, so each loop owns one.
type Keys struct {
	mac hash.Hash // keyed with the Secret
	sum [sha256.Size]byte
}

// Keys returns what derives the keys of sessions from s.
func (s Secret) Keys() *Keys { return &Keys{mac: hmac.New(sha256.New, s[:])} }

// Of derives the key of a session: SPEC 2.4.
func (k *Keys) Of(id ID) Key {
	k.mac.Reset()
	k.mac.Write(append(k.sum[:0], id[:]...)) // what an interface is given escapes
	return Key(k.mac.Sum(k.sum[:0]))
}

// ErrToken refuses a string that is no reconnect token.
var ErrToken = errors.New("session: not a reconnect token")

const tokenPrefix = "ll1."

// Token returns the reconnect token: one opaque string made of id and keys that
// a game may store and hand back after a restart of its client. Treat it like
// a password. A zero seal is left out.
func Token(id ID, key, seal Key) string {
	b := append(id[:], key[:]...)
	if seal != (Key{}) {
		b = append(b, seal[:]...)
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken takes a reconnect token apart.
func ParseToken(s string) (id ID, key, seal Key, err error) {
	if len(s) < len(tokenPrefix) || s[:len(tokenPrefix)] != tokenPrefix {
		return id, key, seal, ErrToken
	}
	b, err := base64.RawURLEncoding.DecodeString(s[len(tokenPrefix):])
	if err != nil || len(b) != len(id)+len(key) && len(b) != len(id)+len(key)+len(seal) {
		return id, key, seal, ErrToken
	}
	copy(id[:], b)
	copy(key[:], b[len(id):])
	copy(seal[:], b[len(id)+len(key):])
	return id, key, seal, nil
}

const proofLabel = "lifeline/resume/1"

// proof is the HMAC of a RESUME over everything it claims and the nonce of
// the link it is sent on: SPEC 6.2.
func (r *ResumeRequest) proof(key Key, nonce Nonce) [32]byte {
	b := make([]byte, 0, len(proofLabel)+16+8+1+8+8+16)
	b = append(b, proofLabel...)
	b = append(b, r.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, r.Attempt)
	if r.Fresh {
		b = append(b, 0)
	} else {
		b = append(b, 1)
	}
	b = binary.LittleEndian.AppendUint64(b, r.Recv)
	b = binary.LittleEndian.AppendUint64(b, r.Lowest)
	b = append(b, nonce[:]...)
	m := hmac.New(sha256.New, key[:])
	m.Write(b)
	return [32]byte(m.Sum(b[:0]))
}

// Verify reports whether r was made by the holder of its session's key for
// the link that was greeted with nonce. It costs the same whatever is wrong.
func (k *Keys) Verify(r *ResumeRequest, nonce Nonce) bool {
	want := r.proof(k.Of(r.ID), nonce)
	return hmac.Equal(want[:], r.Proof[:])
}

// OpeningKey names one attempt to log in: the client's opening id and its
// ticket, hashed. Only the same client with the same ticket can make it again,
// so a repeated HELLO finds the session that its lost WELCOME spoke of.
type OpeningKey [16]byte

// OpeningKey returns the key of this attempt to log in.
func (h *HelloRequest) OpeningKey() OpeningKey {
	d := sha256.New()
	d.Write(h.Opening[:])
	d.Write(h.Ticket)
	return OpeningKey(d.Sum(nil)[:16])
}
