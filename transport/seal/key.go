// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cloudflare/circl/dh/x25519"
)

// The prefixes of the text forms of keys (SPEC 5.7). They differ, so that a
// private key is not pasted where a public key belongs.
const (
	publicPrefix  = "llp1." // goes into clients
	privatePrefix = "lls1." // stays on the server
)

// ErrKeyText is wrapped by the errors of ParsePublicKey and ParseKey.
var ErrKeyText = errors.New("seal: malformed key")

// PublicKey is a server's public key. A client needs it to open a sealed link.
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

// id names the key in a HELLO (SPEC 2.2).
func (k PublicKey) id() (id [8]byte) {
	sum := sha256.Sum256(k[:])
	return [8]byte(sum[:8])
}

// Key is a server's key pair. Immutable.
type Key struct {
	private [32]byte
	public  PublicKey
	id      [8]byte
}

// NewKey draws a key pair.
func NewKey(rand io.Reader) (Key, error) {
	var private [32]byte
	if _, err := io.ReadFull(rand, private[:]); err != nil {
		return Key{}, err
	}
	return keyOf(private), nil
}

// ParseKey reads what Text wrote.
func ParseKey(s string) (Key, error) {
	var private [32]byte
	if err := parseKey(private[:], s, privatePrefix); err != nil {
		return Key{}, err
	}
	return keyOf(private), nil
}

// Text returns the private key as text. Treat it like a password.
func (k Key) Text() string {
	return privatePrefix + base64.RawURLEncoding.EncodeToString(k.private[:])
}

// Public returns the half that clients get.
func (k Key) Public() PublicKey { return k.public }

func keyOf(private [32]byte) Key {
	k := Key{private: private}
	x25519.KeyGen((*x25519.Key)(&k.public), (*x25519.Key)(&k.private))
	k.id = k.public.id()
	return k
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

// The labels that are mixed into keys, one for each purpose.
const (
	labelPrologue  = "lifeline/seal/1"
	labelNonce     = "lifeline/seal/1 nonce"
	labelResumeKey = "lifeline/seal/1 resume key"
	labelResumeTag = "lifeline/seal/1 resume hello"
	labelResume    = "lifeline/seal/1 resume link"
)
