// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// claims are what can't be as in a script where clocks and keys are real: attempts
// come from the wall clock, proofs from them, and a sealed link has a nonce of its
// own. What stands for the same is given the words of the script.
type claims struct {
	key      []byte
	nonce    []byte // of the script
	real     []byte // of the link
	attempts [][2]uint64
	shift    int64 // of the wall clock from that of the script, in microseconds
}

// scriptStart is the wall clock with which scripts begin, in microseconds.
const scriptStart = 1_700_000_000_000_000

func newClaims(token string) (claims, error) {
	c := claims{shift: time.Now().UnixMicro() - scriptStart}
	if token == "" {
		return c, nil
	}
	_, key, _, err := session.ParseToken(token)
	c.key = key[:]
	return c, err
}

// unhex reads a "0x..." in quotes.
func unhex(text string) []byte {
	b, _ := hex.DecodeString(strings.TrimPrefix(strings.Trim(text, `"`), "0x"))
	return b
}

func (c *claims) welcome(body string) { c.key = unhex(field(body, 1)) }

// greeting takes the nonce of a link: real, unless that is zero.
func (c *claims) greeting(body string, real [16]byte) {
	c.nonce = unhex(field(body, 1))
	if c.real = c.nonce; real != [16]byte{} {
		c.real = real[:]
	}
}

// translate puts real attempts in place of the script's, in what the server says.
func (c *claims) translate(p packet) string {
	if p.kind != codec.Refused || number(p.body, 0) != uint64(session.Stale) {
		return p.body
	}
	said := number(p.body, 2)
	real := uint64(int64(said) + c.shift)
	c.attempts = append(c.attempts, [2]uint64{said, real})
	return replace(p.body, 2, fmt.Sprint(real))
}

func replace(body string, i int, with string) string {
	var list []json.RawMessage
	if json.Unmarshal([]byte(body), &list) != nil || i >= len(list) {
		return body
	}
	list[i] = json.RawMessage(with)
	b, err := json.Marshal(list)
	if err != nil {
		return body
	}
	return string(b)
}

// settle returns the body of a packet that came. Where it claims what want does, it
// has the words of want.
func (c *claims) settle(want, got *packet, k codec.Packet) string {
	body := got.body
	if want.kind != got.kind {
		return body
	}
	switch got.kind {
	case codec.Hello:
		if string(unhex(field(body, 1))) == string(c.real) {
			body = replace(body, 1, field(want.body, 1))
		}
		if string(c.real) != string(c.nonce) { // a sealed link is greeted before the script knows: another random number
			body = replace(body, 2, field(want.body, 2))
		}
		return c.attempt(want.body, body, 6)
	case codec.Resume:
		if c.proves(k) {
			body = replace(body, 4, field(want.body, 4))
		}
		return c.attempt(want.body, body, 1)
	}
	return body
}

// attempt checks that an attempt is to all before as the script's are.
func (c *claims) attempt(want, body string, i int) string {
	a, b := number(want, i), number(body, i)
	for _, before := range c.attempts {
		if cmp.Compare(a, before[0]) != cmp.Compare(b, before[1]) {
			return body
		}
	}
	c.attempts = append(c.attempts, [2]uint64{a, b})
	return replace(body, i, field(want, i))
}

// proves checks a RESUME: session/SPEC.md 6.2.
func (c *claims) proves(k codec.Packet) bool {
	r, err := session.ParseResume(k)
	if err != nil {
		return false
	}
	said := claim{attempt: r.Attempt, recv: r.Recv, lowest: r.Lowest, fresh: r.Fresh, key: c.key}
	return hmac.Equal(said.proof(r.ID[:], c.real), r.Proof[:])
}
