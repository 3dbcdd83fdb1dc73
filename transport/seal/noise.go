// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/cloudflare/circl/dh/x25519"
	"github.com/flynn/noise"
)

// errLowOrder is a public key that makes every shared secret zero (RFC 7748, 6.1).
var errLowOrder = errors.New("seal: a public key of low order")

// protocol is what SPEC 3.1 names.
var protocol = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)

// suite is protocol with another implementation of X25519, and with digests that are
// used again. One handshake at a time. Owned by the Initiator or Responder that it is in.
type suite struct {
	noise.CipherSuite
	drawn   noise.DHKey // the ephemeral key, if it was drawn before the handshake
	digests []hash.Hash
	used    int // of digests, in the present handshake
}

// begin starts another handshake. drawn is the ephemeral key of a client: its hello is the
// same each time. The ephemeral key of a server is drawn when it is needed.
func (s *suite) begin(drawn noise.DHKey) {
	s.CipherSuite, s.drawn, s.used = protocol, drawn, 0
}

// initiate begins a client's handshake with the server that has the private half of
// key, and returns the first message.
func (s *suite) initiate(key *PublicKey, drawn noise.DHKey, prologue []byte) (*noise.HandshakeState, []byte, error) {
	s.begin(drawn)
	hs, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: s, Pattern: noise.HandshakeNK, Initiator: true, Prologue: prologue, PeerStatic: key[:],
	})
	if err != nil {
		return nil, nil, err
	}
	message, _, _, err := hs.WriteMessage(nil, nil)
	return hs, message, err
}

// prologue binds the clear bytes of a HELLO to the handshake.
func prologue(label string, clear []byte) []byte { return append([]byte(label), clear...) }

// GenerateKeypair returns the ephemeral key, and draws it if there is none yet.
func (s *suite) GenerateKeypair(random io.Reader) (noise.DHKey, error) {
	if s.drawn.Private != nil {
		return s.drawn, nil
	}
	return drawKey(random)
}

// drawKey makes a key pair of 32 random bytes.
func drawKey(random io.Reader) (noise.DHKey, error) {
	var private, public x25519.Key
	if _, err := io.ReadFull(random, private[:]); err != nil {
		return noise.DHKey{}, err
	}
	x25519.KeyGen(&public, &private)
	return noise.DHKey{Private: private[:], Public: public[:]}, nil
}

// DH multiplies. It refuses a point of low order.
func (s *suite) DH(private, public []byte) ([]byte, error) {
	var shared x25519.Key
	if !x25519.Shared(&shared, (*x25519.Key)(private), (*x25519.Key)(public)) {
		return nil, errLowOrder
	}
	return shared[:], nil
}

// Hash returns an empty digest that is not used elsewhere in this handshake. Noise
// and HMAC use several at once, but none beyond the handshake.
func (s *suite) Hash() hash.Hash {
	if s.used == len(s.digests) {
		s.digests = append(s.digests, sha256.New())
	}
	h := s.digests[s.used]
	s.used++
	h.Reset()
	return h
}
