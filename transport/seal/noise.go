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

// suite is protocol with parsed keys. Its functions are those of the standard
// library, as noise's own are, but it parses each key once: parsing a private key
// costs crypto/ecdh as much as a multiplication, and noise would parse it for each
// use. One handshake at a time. Owned by the Initiator or Responder that it is in.
type suite struct {
	noise.CipherSuite
	keys    [2]*ecdh.PrivateKey // ours, by name
	digests []hash.Hash
	used    int // of digests, in the present handshake
}

// The names of our private keys. Noise gets a name in place of the bytes: it only
// hands it back.
const (
	static = iota
	ephemeral
)

// privateNames are the names as a noise.DHKey holds them.
var privateNames = [2][]byte{{static}, {ephemeral}}

// namedKey is a key pair for noise.
func namedKey(name int, public []byte) noise.DHKey {
	return noise.DHKey{Private: privateNames[name], Public: public}
}

// begin starts another handshake. ours is the static key of a server; drawn is the
// ephemeral key of a client, which was drawn before. Either may be nil.
func (s *suite) begin(ours, drawn *ecdh.PrivateKey) {
	s.CipherSuite, s.keys, s.used = protocol, [...]*ecdh.PrivateKey{static: ours, ephemeral: drawn}, 0
}

// initiate begins a client's handshake with the server that has the private half of
// key, and returns the first message.
func (s *suite) initiate(key *PublicKey, drawn *ecdh.PrivateKey, prologue []byte) (*noise.HandshakeState, []byte, error) {
	s.begin(nil, drawn)
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
	if s.keys[ephemeral] == nil {
		k, err := drawKey(random)
		if err != nil {
			return noise.DHKey{}, err
		}
		s.keys[ephemeral] = k
	}
	return namedKey(ephemeral, s.keys[ephemeral].PublicKey().Bytes()), nil
}

// drawKey makes a private key of 32 random bytes. With GenerateKey of crypto/ecdh
// a test could not choose them.
func drawKey(random io.Reader) (*ecdh.PrivateKey, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	return ecdh.X25519().NewPrivateKey(b[:])
}

// DH multiplies. It refuses a point of low order.
func (s *suite) DH(private, public []byte) ([]byte, error) {
	k, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return s.keys[private[0]].ECDH(k)
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
