// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/ecdh"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/flynn/noise"
)

// protocol is what SPEC 3.1 names.
var protocol = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)

// suite is protocol with a memory: the functions are the standard library's, as
// noise's own are, but each key is parsed once. To make a private key of bytes
// costs crypto/ecdh a multiplication, as much as to use it, and noise would do
// so for each use. Owned by whoever owns the handshake, one at a time.
type suite struct {
	noise.CipherSuite
	keys    [2]*ecdh.PrivateKey // ours, by name
	digests []hash.Hash
	used    int // of digests, in the present handshake
}

// The names of our private keys. Noise is given them in the place of the bytes,
// which it only hands back.
const (
	static = iota
	ephemeral
)

// privateNames are those that a noise.DHKey can hold.
var privateNames = [2][]byte{{static}, {ephemeral}}

// namedKey is a key pair for noise.
func namedKey(name int, public []byte) noise.DHKey {
	return noise.DHKey{Private: privateNames[name], Public: public}
}

// begin forgets the handshake before. Ours is the static key on the server, and
// an ephemeral one that was drawn already on the client.
func (s *suite) begin(ours, drawn *ecdh.PrivateKey) {
	s.CipherSuite, s.keys, s.used = protocol, [...]*ecdh.PrivateKey{static: ours, ephemeral: drawn}, 0
}

// GenerateKeypair draws the ephemeral key, if there is none yet.
func (s *suite) GenerateKeypair(random io.Reader) (noise.DHKey, error) {
	if s.keys[ephemeral] == nil {
		k, err := drawKey(random)
		if err != nil {
			return noise.DHKey{}, err
		}
		s.keys[ephemeral] = k
	}
	return namedKey(ephemeral, s.keys[ephemeral].PublicKey().Bytes()), nil
}

// drawKey makes a private key of 32 random bytes. GenerateKey of crypto/ecdh
// would not let a test say which.
func drawKey(random io.Reader) (*ecdh.PrivateKey, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	return ecdh.X25519().NewPrivateKey(b[:])
}

// DH refuses a point of low order.
func (s *suite) DH(private, public []byte) ([]byte, error) {
	k, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return s.keys[private[0]].ECDH(k)
}

// Hash returns an empty digest that no other use has in this handshake: noise
// and HMAC keep several of them side by side, but none for the next handshake.
func (s *suite) Hash() hash.Hash {
	if s.used == len(s.digests) {
		s.digests = append(s.digests, sha256.New())
	}
	h := s.digests[s.used]
	s.used++
	h.Reset()
	return h
}
