// SPDX-License-Identifier: MIT

package seal

import (
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"io"
	"net/netip"
	"time"

	"golang.org/x/crypto/blake2s"
)

// cookieTime is how long a secret makes cookies. It checks them twice as long.
const cookieTime = 2 * time.Minute

// cookieJar makes and checks cookies. A cookie says that whoever shows it was
// sent something at his address a moment ago; the server keeps nothing for it.
type cookieJar struct {
	made, old hash.Hash // keyed with the present secret and the one before
	until     time.Duration
	sum       [16]byte
	in        [80]byte
}

// turn draws a new secret when it is time.
func (j *cookieJar) turn(now time.Duration, rand io.Reader) {
	if j.made != nil && now < j.until {
		return
	}
	old := j.made
	if now >= j.until+cookieTime {
		old = nil // nobody came for long
	}
	var secret [32]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		panic(err) // as crypto/rand: without secrets there is nothing to be done
	}
	h, err := blake2s.New128(secret[:])
	if err != nil {
		panic(err) // a key of another size
	}
	j.made, j.old, j.until = h, old, now+cookieTime
}

// mac is over the address and everything of the hello but the cookie, so a
// cookie is good for one hello.
func (j *cookieJar) mac(h hash.Hash, from netip.AddrPort, hello []byte) []byte {
	ip := from.Addr().As16()
	in := append(j.in[:0], ip[:]...)
	in = binary.LittleEndian.AppendUint16(in, from.Port())
	in = append(in, hello[4:atCookie]...)
	in = append(in, hello[atName:helloEnd]...)
	h.Reset()
	h.Write(in)
	return h.Sum(j.sum[:0])
}

func (j *cookieJar) check(now time.Duration, from netip.AddrPort, hello []byte, rand io.Reader) bool {
	j.turn(now, rand)
	cookie := hello[atCookie:atName]
	return subtle.ConstantTimeCompare(cookie, j.mac(j.made, from, hello)) == 1 ||
		j.old != nil && subtle.ConstantTimeCompare(cookie, j.mac(j.old, from, hello)) == 1
}

func (j *cookieJar) appendCookie(b []byte, now time.Duration, from netip.AddrPort, hello []byte, rand io.Reader) []byte {
	j.turn(now, rand)
	b = append(appendHead(b, WhatCookie), hello[atName:atName+8]...)
	return append(b, j.mac(j.made, from, hello)...)
}

// hash is one of a network. Nobody can aim at somebody else's.
func (j *cookieJar) hash(now time.Duration, p netip.Prefix, rand io.Reader) uint32 {
	j.turn(now, rand)
	ip := p.Addr().As16()
	j.made.Reset()
	j.made.Write(append(append(j.in[:0], ip[:]...), byte(p.Bits())))
	return binary.LittleEndian.Uint32(j.made.Sum(j.sum[:0]))
}

const (
	loadSticky = 10 * time.Second
	prefixes   = 8192 // buckets that they share: 128 KiB, once there was load
)

// load knows whether strangers cost too much, and who of them.
type load struct {
	work   bucket
	until  time.Duration // loaded before this
	prefix *[prefixes]bucket
}

// high reports whether cookies are asked for. Once they are, it is for a while:
// a flood that pauses is not over.
func (l *load) high(now time.Duration, crowded bool) bool {
	if crowded {
		l.until = now + loadSticky
	}
	return now < l.until
}

// worked counts a handshake with public keys, of which rate in a second are no load.
func (l *load) worked(now time.Duration, rate int) {
	if !l.work.take(now, rate, rate) {
		l.until = now + loadSticky
	}
}

// admit counts one of a prefix, unless it had too many.
func (l *load) admit(now time.Duration, prefix uint32, rate int) bool {
	if l.prefix == nil {
		l.prefix = new([prefixes]bucket)
	}
	return l.prefix[prefix%prefixes].take(now, rate, prefixBurst*rate)
}

// bucket holds tokens. The zero value is full.
type bucket struct {
	used float64
	at   time.Duration
}

// take takes a token of burst, of which rate come back in a second.
func (b *bucket) take(now time.Duration, rate, burst int) bool {
	b.used = max(b.used-float64(rate)*(now-b.at).Seconds(), 0)
	b.at = now
	if b.used+1 > float64(burst) {
		return false
	}
	b.used++
	return true
}
