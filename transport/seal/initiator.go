// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"

	"github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"
)

// Accepted is a link that a server has agreed to.
type Accepted struct {
	Conn Conn
	// Nonce is known to the two ends of this link alone, and differs from that of
	// every other link. A proof that is bound to the link contains it.
	Nonce [16]byte
	// Greeting comes from the server's layer above.
	Greeting []byte
}

// Initiator is the client's half of a handshake. Owned by the caller.
//
// It has no clock: the caller sends what Repeat returns, again and again with
// growing pauses, until Handle returns the link. All repeats are the same hello,
// so a server counts it once, whatever the network repeats.
type Initiator struct {
	hello         []byte // HelloSize
	cookieReplies int    // cookies answered at once since Repeat
	// a handshake with public keys
	server    PublicKey
	ephemeral noise.DHKey
	suite     suite
	state     *noise.HandshakeState // after the hello, nil once an answer was tried
	// a handshake of a session that has a resume key
	resume bool
	key    [32]byte
}

// NewInitiator begins a handshake with the server that has the private half of key.
func NewInitiator(key PublicKey, rand io.Reader) (*Initiator, error) {
	i := &Initiator{server: key, hello: appendHead(make([]byte, 0, HelloSize), TypeHello)[:HelloSize]}
	id := key.id()
	copy(i.hello[atKeyID:], id[:])
	var err error
	if i.ephemeral, err = drawKey(rand); err != nil {
		return nil, err
	}
	hs, msg, err := i.handshake()
	if err != nil {
		return nil, err
	}
	copy(i.hello[atName:], msg)
	i.state = hs
	return i, nil
}

// NewResumer begins a handshake for a session that has a seal key (SPEC 5.4).
func NewResumer(session [16]byte, key [32]byte, rand io.Reader) (*Initiator, error) {
	i := &Initiator{resume: true, key: key, hello: appendHead(make([]byte, 0, HelloSize), TypeResumeHello)[:HelloSize]}
	if _, err := io.ReadFull(rand, i.hello[atName:atName+16]); err != nil {
		return nil, err
	}
	copy(i.hello[atName+16:], session[:])
	tag := resumeTag(sha256.New, &key, i.hello, atName, labelResumeTag)
	copy(i.hello[atTag:], tag[:])
	return i, nil
}

// Hello returns the datagram to send. It is valid until the next call.
func (i *Initiator) Hello() []byte { return i.hello }

// Repeat returns Hello, and allows the next two cookies to be answered at once.
// A caller calls it when its timer says so.
func (i *Initiator) Repeat() []byte {
	i.cookieReplies = 0
	return i.hello
}

// maxCookieReplies is how many cookies are answered at once between two calls of
// Repeat. An observer of a hello can forge a cookie. A forged one must neither
// hide the server's cookie nor make the client send hellos for ever.
const maxCookieReplies = 2

// Handle takes a datagram that has connection id 0. It returns the link once the
// server has accepted it, else nil. again says that the server asked for a cookie:
// Hello has changed and should be sent at once. It is true at most twice between
// two calls of Repeat, which sends the latest cookie in any case. A datagram that
// is forged, or of another handshake, changes nothing and is an error.
func (i *Initiator) Handle(b []byte) (a *Accepted, again bool, err error) {
	_, t, ok := Parse(b)
	switch {
	case !ok:
		return nil, false, ErrPacketType
	case b[5] != wireVersion:
		return nil, false, ErrVersion
	case len(b) < 16:
		return nil, false, ErrSize
	case !bytes.Equal(b[8:16], i.hello[atName:atName+8]):
		return nil, false, ErrUnknown
	}
	switch {
	case t == TypeCookie:
		if len(b) != cookieSize {
			return nil, false, ErrSize
		}
		if again = !bytes.Equal(i.hello[atCookie:atCookie+16], b[16:]) && i.cookieReplies < maxCookieReplies; again {
			i.cookieReplies++
		}
		copy(i.hello[atCookie:], b[16:])
		return nil, again, nil
	case t == TypeAccept && !i.resume:
		a, err = i.accept(b)
	case t == TypeResumeAccept && i.resume:
		a, err = i.resumeAccept(b)
	default:
		return nil, false, ErrPacketType
	}
	return a, false, err
}

// handshake begins Noise. The ephemeral key is the same each time.
func (i *Initiator) handshake() (*noise.HandshakeState, []byte, error) {
	return i.suite.initiate(&i.server, i.ephemeral, prologue(labelPrologue, i.hello[:atCookie]))
}

func (i *Initiator) accept(b []byte) (a *Accepted, err error) {
	hs := i.state
	i.state = nil // a state that an answer has failed on is not used again
	if hs == nil {
		if hs, _, err = i.handshake(); err != nil {
			return nil, err
		}
	}
	payload, send, receive, err := hs.ReadMessage(nil, b[16:])
	if err != nil || len(payload) < 4 {
		return nil, ErrForged
	}
	sendKey, receiveKey := send.UnsafeKey(), receive.UnsafeKey()
	return accepted(payload, sendKey[:], receiveKey[:], linkNonce(hs))
}

func (i *Initiator) resumeAccept(b []byte) (*Accepted, error) {
	if len(b) < 32+4+TagSize {
		return nil, ErrSize
	}
	keys := deriveResume(sha256.New, &i.key, i.hello, b[16:32])
	var zero [chacha20poly1305.NonceSize]byte
	payload, err := keys.answer.Open(nil, zero[:], b[32:], b[:32])
	if err != nil {
		return nil, ErrForged
	}
	return accepted(payload, keys.up, keys.down, keys.nonce)
}

func accepted(payload, sealKey, openKey []byte, nonce [16]byte) (*Accepted, error) {
	id := binary.LittleEndian.Uint32(payload)
	if id == 0 {
		return nil, ErrPayload
	}
	return &Accepted{Conn: newConn(id, sealKey, openKey), Nonce: nonce, Greeting: payload[4:]}, nil
}

func linkNonce(hs *noise.HandshakeState) [16]byte {
	sum := sha256.Sum256(append([]byte(labelNonce), hs.ChannelBinding()...))
	return [16]byte(sum[:16])
}

// resumeTag proves possession of a seal key. A RESUME-HELLO without it gets no
// answer, and the server keeps nothing of it. It covers the first 16 bytes, and nonce and
// session, which are at a place that depends on whether it is of datagrams or of a stream,
// as the label does.
func resumeTag(digest func() hash.Hash, key *[32]byte, hello []byte, at int, label string) (tag [16]byte) {
	h := hmac.New(digest, key[:])
	h.Write([]byte(label))
	h.Write(hello[:16])
	h.Write(hello[at : at+32])
	copy(tag[:], h.Sum(nil))
	return tag
}

// resumeKeys are the keys of one link that a RESUME-HELLO opens.
type resumeKeys struct {
	up, down []byte // from the client, to it
	answer   cipher.AEAD
	nonce    [16]byte
}

// deriveResume derives the keys of a link of datagrams from a seal key and the nonces
// of both sides.
func deriveResume(digest func() hash.Hash, key *[32]byte, hello, serverNonce []byte) resumeKeys {
	return deriveKeys(digest, key, hello[atName:atName+16], serverNonce, labelResume, hello[atName+16:atTag])
}

// deriveKeys derives the keys of a link that a RESUME-HELLO opens. They are fresh if
// one of the nonces is.
func deriveKeys(digest func() hash.Hash, key *[32]byte, clientNonce, serverNonce []byte, label string, session []byte) resumeKeys {
	salt := append(bytes.Clone(clientNonce), serverNonce...)
	k, err := hkdf.Key(digest, key[:], salt, label+string(session), 32+32+32+16)
	if err != nil {
		panic(err) // a length that HKDF can't make
	}
	return resumeKeys{up: k[:32], down: k[32:64], answer: cipherOf(k[64:96]), nonce: [16]byte(k[96:])}
}
