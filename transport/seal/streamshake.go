// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/sha256"
	"hash"
	"io"
	"net/netip"
	"time"

	"github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"
)

// Offsets in the hellos of a byte stream: SPEC 10.2.
const (
	streamKeyID   = 8  // HELLO
	streamMessage = 16 // HELLO: Noise message 1
	streamNonce   = 16 // RESUME-HELLO
	streamSession = 32
	streamTag     = 48

	// acceptHead is the header of an answer and the length of the rest.
	acceptHead = 8 + 1
)

// The labels of the keys of byte streams: a hello of one kind of link is worth
// nothing on the other.
const (
	labelStreamPrologue  = "lifeline/seal/1 stream"
	labelStreamResumeTag = "lifeline/seal/1 stream resume hello"
	labelStreamResume    = "lifeline/seal/1 stream resume link"
)

// StreamInitiator is the client's half of the handshake on a byte stream. Owned by
// the caller, which sends Hello once and hands what comes back to Accept.
type StreamInitiator struct {
	hello [StreamHelloSize]byte
	// a handshake with public keys
	suite suite
	state *noise.HandshakeState
	// a handshake of a session that has a resume key
	resume bool
	key    [32]byte
}

// NewStreamInitiator begins a stream to the server that has the private half of key.
func NewStreamInitiator(key PublicKey, rand io.Reader) (*StreamInitiator, error) {
	i := new(StreamInitiator)
	copy(i.hello[:], appendHead(nil, TypeHello))
	id := key.id()
	copy(i.hello[streamKeyID:], id[:])
	ephemeral, err := drawKey(rand)
	if err != nil {
		return nil, err
	}
	var message []byte
	i.state, message, err = i.suite.initiate(&key, ephemeral, prologue(labelStreamPrologue, i.hello[:streamMessage]))
	copy(i.hello[streamMessage:], message)
	return i, err
}

// NewStreamResumer begins a stream for a session that has a seal key (SPEC 5.4).
func NewStreamResumer(session [16]byte, key [32]byte, rand io.Reader) (*StreamInitiator, error) {
	i := &StreamInitiator{resume: true, key: key}
	copy(i.hello[:], appendHead(nil, TypeResumeHello))
	if _, err := io.ReadFull(rand, i.hello[streamNonce:streamSession]); err != nil {
		return nil, err
	}
	copy(i.hello[streamSession:], session[:])
	tag := resumeTag(sha256.New, &key, i.hello[:], streamNonce, labelStreamResumeTag)
	copy(i.hello[streamTag:], tag[:])
	return i, nil
}

// Hello returns what to send. It is valid as long as i.
func (i *StreamInitiator) Hello() []byte { return i.hello[:] }

// Accept takes what has come back so far. It returns the link and how many bytes
// of b its answer was, or nil while the answer is not whole. An error ends the
// connection.
func (i *StreamInitiator) Accept(b []byte) (a *AcceptedStream, used int, err error) {
	if len(b) < acceptHead {
		return nil, 0, nil
	}
	want := TypeAccept
	if i.resume {
		want = TypeResumeAccept
	}
	switch _, t, ok := Parse(b); {
	case !ok || t != want:
		return nil, 0, ErrPacketType
	case b[5] != wireVersion:
		return nil, 0, ErrVersion
	}
	used = acceptHead + int(b[acceptHead-1])
	if len(b) < used {
		return nil, 0, nil
	}
	if i.resume {
		a, err = i.resumeAccept(b[:used])
	} else {
		a, err = i.accept(b[:used])
	}
	return a, used, err
}

func (i *StreamInitiator) accept(b []byte) (*AcceptedStream, error) {
	hs := i.state
	if i.state = nil; hs == nil {
		return nil, ErrForged
	}
	greeting, send, receive, err := hs.ReadMessage(nil, b[acceptHead:])
	if err != nil {
		return nil, ErrForged
	}
	sendKey, receiveKey := send.UnsafeKey(), receive.UnsafeKey()
	return &AcceptedStream{newStream(sendKey[:], receiveKey[:]), linkNonce(hs), greeting}, nil
}

func (i *StreamInitiator) resumeAccept(b []byte) (*AcceptedStream, error) {
	if len(b) < acceptHead+16+TagSize {
		return nil, ErrSize
	}
	keys := deriveStream(sha256.New, &i.key, i.hello[:], b[acceptHead:acceptHead+16])
	var zero [chacha20poly1305.NonceSize]byte
	greeting, err := keys.answer.Open(nil, zero[:], b[acceptHead+16:], b[:acceptHead+16])
	if err != nil {
		return nil, ErrForged
	}
	return &AcceptedStream{newStream(keys.up, keys.down), keys.nonce, greeting}, nil
}

// BeginsStream returns an error, and counts it, if b can't be the beginning of the
// hello of a byte stream. So what is sent to a wrong port ends at its first bytes.
func (r *Responder) BeginsStream(b []byte) error {
	for i, c := range b[:min(len(b), HeaderSize)] {
		switch {
		case i == 4 && PacketType(c) != TypeHello && PacketType(c) != TypeResumeHello:
		case i == 5 && c != wireVersion:
		case i != 4 && i != 5 && c != 0:
		default:
			continue
		}
		r.counts.Malformed++
		return ErrPacketType
	}
	return nil
}

// AcceptStream answers the hello of a byte stream, StreamHelloSize bytes, from an
// address. It does not keep b. The answer is valid until the next call. An error is the
// reason for which the connection is to be closed; Counts has counted it.
func (r *Responder) AcceptStream(now time.Duration, from netip.Addr, b []byte) (a AcceptedStream, answer []byte, err error) {
	switch t, err := r.helloType(b, StreamHelloSize); {
	case err != nil:
		return a, nil, err
	case t == TypeResumeHello:
		return r.resumeStream(b)
	}
	return r.helloStream(now, from, b)
}

// helloStream answers a HELLO. It costs public-key operations. The address is
// validated by TCP, so a network that asks for many is told no, without a cookie.
func (r *Responder) helloStream(now time.Duration, from netip.Addr, b []byte) (a AcceptedStream, answer []byte, err error) {
	key := r.keyNamed(b[streamKeyID : streamKeyID+8])
	if key == nil {
		r.counts.WrongKey++
		return a, nil, ErrKey
	}
	if r.load.high(now, false) && !r.admit(now, from) {
		r.counts.RateLimited++
		return a, nil, ErrRate
	}
	hs, err := r.respond(now, key, prologue(labelStreamPrologue, b[:streamMessage]), b[streamMessage:])
	if err != nil {
		return a, nil, err
	}
	r.answer = append(appendHead(r.answer[:0], TypeAccept), byte(32+len(r.cfg.Greeting)+TagSize))
	answer, up, down, err := hs.WriteMessage(r.answer, r.cfg.Greeting)
	if err != nil {
		return a, nil, err
	}
	r.answer = answer
	upKey, downKey := up.UnsafeKey(), down.UnsafeKey()
	return AcceptedStream{newStream(downKey[:], upKey[:]), linkNonce(hs), r.cfg.Greeting}, answer, nil
}

// resumeStream answers a RESUME-HELLO. It costs no public-key operation.
func (r *Responder) resumeStream(b []byte) (a AcceptedStream, answer []byte, err error) {
	_, key, err := r.proven(b, streamNonce, labelStreamResumeTag)
	if err != nil {
		return a, nil, err
	}
	r.answer = append(appendHead(r.answer[:0], TypeResumeAccept), byte(16+len(r.cfg.Greeting)+TagSize))
	r.answer = append(r.answer, make([]byte, 16)...)
	if _, err := io.ReadFull(r.cfg.Rand, r.answer[acceptHead:]); err != nil {
		return a, nil, err
	}
	r.counts.Resumed++
	keys := deriveStream(r.suite.Hash, key, b, r.answer[acceptHead:])
	var zero [chacha20poly1305.NonceSize]byte
	r.answer = keys.answer.Seal(r.answer, zero[:], r.cfg.Greeting, r.answer)
	return AcceptedStream{newStream(keys.down, keys.up), keys.nonce, r.cfg.Greeting}, r.answer, nil
}

// deriveStream derives the keys of a link as deriveResume does.
func deriveStream(digest func() hash.Hash, key *[32]byte, hello, serverNonce []byte) resumeKeys {
	return deriveKeys(digest, key, hello[streamNonce:streamSession], serverNonce, labelStreamResume, hello[streamSession:streamTag])
}
