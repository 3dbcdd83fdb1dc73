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

// cookieTime is how long a secret makes cookies. It verifies them for twice as long.
const cookieTime = 2 * time.Minute

// cookieJar makes and checks cookies. A cookie is the token of address validation
// before a handshake (RFC 9000 §8.1.2): a client that returns it has received
// something at its address a moment ago. The server stores nothing for it.
type cookieJar struct {
	made, old hash.Hash // keyed with the current secret and the previous one
	until     time.Duration
	sum       [16]byte
	in        [80]byte
}

// turn draws a new secret if the current one is over.
func (j *cookieJar) turn(now time.Duration, rand io.Reader) {
	if j.made != nil && now < j.until {
		return
	}
	old := j.made
	if now >= j.until+cookieTime {
		old = nil // the previous secret is too old as well
	}
	var secret [32]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		panic(err) // as crypto/rand does: without a secret there is no safe way on
	}
	h, err := blake2s.New128(secret[:])
	if err != nil {
		panic(err) // a key of another size
	}
	j.made, j.old, j.until = h, old, now+cookieTime
}

// mac covers the address and all of the hello except the cookie, so a cookie is
// valid for one hello.
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
	b = append(appendHead(b, TypeCookie), hello[atName:atName+8]...)
	return append(b, j.mac(j.made, from, hello)...)
}

// hash returns a hash of a network that depends on the secret, so that no client
// can choose its bucket.
func (j *cookieJar) hash(now time.Duration, p netip.Prefix, rand io.Reader) uint32 {
	j.turn(now, rand)
	ip := p.Addr().As16()
	j.made.Reset()
	j.made.Write(append(append(j.in[:0], ip[:]...), byte(p.Bits())))
	return binary.LittleEndian.Uint32(j.made.Sum(j.sum[:0]))
}

const (
	loadSticky = 10 * time.Second
	prefixes   = 8192 // buckets that all networks share: 128 KiB, allocated under load
)

// load decides whether handshakes cost too much, and of which networks.
type load struct {
	work   bucket
	until  time.Duration // loaded before this
	prefix *[prefixes]bucket
}

// high reports whether cookies are asked for. They are asked for at least for
// loadSticky, as a flood may pause.
func (l *load) high(now time.Duration, full bool) bool {
	if full {
		l.until = now + loadSticky
	}
	return now < l.until
}

// countPublicKey counts a handshake with public keys. More than rate in a second
// are a high load.
func (l *load) countPublicKey(now time.Duration, rate int) {
	if !l.work.take(now, rate, rate) {
		l.until = now + loadSticky
	}
}

// admit counts a handshake of a prefix, unless the prefix is over its rate.
func (l *load) admit(now time.Duration, prefix uint32, rate int) bool {
	if l.prefix == nil {
		l.prefix = new([prefixes]bucket)
	}
	return l.prefix[prefix%prefixes].take(now, rate, addressBurst*rate)
}

// bucket holds tokens. The zero value is full.
type bucket struct {
	used float64
	at   time.Duration
}

// take takes a token if there is one. The bucket holds burst tokens, and rate
// tokens come back in a second.
func (b *bucket) take(now time.Duration, rate, burst int) bool {
	b.used = max(b.used-float64(rate)*(now-b.at).Seconds(), 0)
	b.at = now
	if b.used+1 > float64(burst) {
		return false
	}
	b.used++
	return true
}
