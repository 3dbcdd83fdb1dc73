// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A server's key pair and its text forms. The prefixes keep one from being
// pasted where the other belongs.
const (
	publicPrefix  = "llp1." // goes into clients
	privatePrefix = "lls1." // stays on the server
)

// ErrKeyText is a key that can't be read.
var ErrKeyText = errors.New("seal: malformed key")

// PublicKey is what a client must know of a server to seal a link to it.
type PublicKey [32]byte

// String returns the key as text, for a client's configuration.
func (k PublicKey) String() string {
	return publicPrefix + base64.RawURLEncoding.EncodeToString(k[:])
}

// ParsePublicKey reads what String wrote.
func ParsePublicKey(s string) (k PublicKey, err error) {
	if strings.HasPrefix(s, privatePrefix) {
		return k, fmt.Errorf("%w: this is a private key, which belongs on the server alone", ErrKeyText)
	}
	return k, parseKey(k[:], s, publicPrefix)
}

// id is how a HELLO names the key it is meant for.
func (k PublicKey) id() (id [8]byte) {
	sum := sha256.Sum256(k[:])
	return [8]byte(sum[:8])
}

// Key is a server's key pair. Immutable.
type Key struct {
	private *ecdh.PrivateKey
	public  PublicKey
	id      [8]byte
}

// NewKey draws a key pair.
func NewKey(rand io.Reader) (Key, error) {
	var private [32]byte
	if _, err := io.ReadFull(rand, private[:]); err != nil {
		return Key{}, err
	}
	return keyOf(private[:])
}

// ParseKey reads what Text wrote.
func ParseKey(s string) (Key, error) {
	var private [32]byte
	if err := parseKey(private[:], s, privatePrefix); err != nil {
		return Key{}, err
	}
	return keyOf(private[:])
}

// Text returns the private key as text. Treat it like a password.
func (k Key) Text() string {
	return privatePrefix + base64.RawURLEncoding.EncodeToString(k.private.Bytes())
}

// Public returns the half that clients get.
func (k Key) Public() PublicKey { return k.public }

func keyOf(private []byte) (Key, error) {
	p, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return Key{}, err
	}
	k := Key{private: p, public: PublicKey(p.PublicKey().Bytes())}
	k.id = k.public.id()
	return k, nil
}

func parseKey(to []byte, s, prefix string) error {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), prefix)
	if !ok {
		return fmt.Errorf("%w: it begins with %q", ErrKeyText, prefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(to) {
		return fmt.Errorf("%w: %d characters follow %q", ErrKeyText, base64.RawURLEncoding.EncodedLen(len(to)), prefix)
	}
	copy(to, b)
	return nil
}

// What is mixed into every key says what the key is for.
const (
	labelPrologue  = "lifeline/seal/1"
	labelNonce     = "lifeline/seal/1 nonce"
	labelResumeKey = "lifeline/seal/1 resume key"
	labelResumeTag = "lifeline/seal/1 resume hello"
	labelResume    = "lifeline/seal/1 resume link"
)
