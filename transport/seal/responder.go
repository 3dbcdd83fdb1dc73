// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/flynn/noise"
	"github.com/lifeline-go/lifeline/transport/internal/strangers"
	"golang.org/x/crypto/chacha20poly1305"
)

// Config says how a Responder behaves.
type Config struct {
	// Keys are the server's key pairs. Clients may know any of them, so a new
	// one can be told to them before the old one is taken away.
	Keys []Key
	// ResumeSecret is what Responder.ResumeKey makes keys of. If zero, no link
	// is opened without public keys.
	ResumeSecret [32]byte
	// Greeting is what every ACCEPT carries for the layer above, at most
	// MaxGreeting bytes.
	Greeting []byte
	// IDs gives and takes connection ids.
	IDs IDs
	// HalfOpen bounds the links that wait for their peer's first sealed
	// datagram. If zero, 4,096. Beyond it the oldest of the network that has most
	// of them goes. Cookies are asked for from an eighth of it on, of those who
	// resume from a quarter of it on.
	HalfOpen int
	// Over reports that a session is over, so that the key which opened its
	// links opens no more. Called on the loop. If nil, none is.
	Over func(session [16]byte) bool
	// AlwaysCookie asks everybody for a cookie: one round trip more, and no
	// public-key operation for a spoofed address, ever.
	AlwaysCookie bool
	// CookieRate is how many handshakes with public keys in a second make
	// everybody need a cookie for a while. If zero, 200. If negative, none do.
	CookieRate int
	// PrefixRate bounds the handshakes that one prefix (IPv4 /24, IPv6 /48) gets
	// in a second while cookies are asked for. One address, one /64, gets half
	// of it. If zero, 64. If negative, there is no bound.
	PrefixRate int
	// Rand is where unguessable bits come from. If nil, crypto/rand.
	Rand io.Reader
}

// IDs is who owns the connection ids.
type IDs interface {
	// Reserve returns an id that names no other link, not 0.
	Reserve() (id uint32, ok bool)
	// Free takes the id of a half-open link back that never became one.
	Free(id uint32)
}

// Counts counts what a Responder did.
type Counts struct {
	PublicKey uint64 `json:"public_key"` // handshakes for which public-key work was done
	Resumed   uint64 `json:"resumed"`    // handshakes without
	Repeated  uint64 `json:"repeated"`   // hellos that got the same answer again
	Cookies   uint64 `json:"cookies"`    // hellos that were answered with a cookie
	Expired   uint64 `json:"expired"`    // half-open links whose peer never came
	Evicted   uint64 `json:"evicted"`    // half-open links that made room for another
	Confirmed uint64 `json:"confirmed"`  // half-open links that became links
	Resets    uint64 `json:"resets"`     // resets sent
	// Hellos dropped, by reason.
	Malformed uint64 `json:"malformed"`
	WrongKey  uint64 `json:"wrong_key"`
	Forged    uint64 `json:"forged"`
	Limited   uint64 `json:"limited"`
	Over      uint64 `json:"over"` // of sessions that are over
	Full      uint64 `json:"full"`
}

const (
	defaultHalfOpen   = 4096
	defaultCookieRate = 200
	defaultPrefixRate = 64
	prefixBurst       = 4 // seconds of the rate
	halfOpenTime      = 5 * time.Second
)

// half is a half-open link: accepted, and not heard on yet.
type half struct {
	name   [helloEnd - atName]byte // of the hello that made it
	from   netip.AddrPort
	until  time.Duration
	conn   Conn
	nonce  [16]byte
	answer []byte
	resume resumed // zero of one with public keys
	place  *strangers.Entry[*half]
}

// resumed names the half-open link of a session: one for each network that it is
// asked for from, so that who repeats what it saw takes nobody's away.
type resumed struct {
	session [16]byte
	from    netip.Prefix
}

// Responder answers the handshakes of one loop. Owned by that loop.
type Responder struct {
	cfg     Config
	byName  map[[helloEnd - atName]byte]*half
	byID    map[uint32]*half
	resumes map[resumed]*half
	places  strangers.Table[*half]
	order   []*half   // by until; those confirmed have no conn any more
	secret  hash.Hash // HMAC with Config.ResumeSecret, nil without one
	suite   suite
	cookies cookieJar
	load    load
	resets  bucket
	resetOf *[prefixes]bucket // of networks, nil until the first
	answer  []byte            // of the latest call
	scratch []byte            // what an interface is given escapes
	counts  Counts
}

// NewResponder checks cfg and makes a Responder.
func NewResponder(cfg Config) (*Responder, error) {
	switch {
	case len(cfg.Keys) == 0:
		return nil, errors.New("seal: no server key")
	case slices.Contains(cfg.Keys, Key{}):
		return nil, errors.New("seal: an empty server key")
	case len(cfg.Greeting) > MaxGreeting:
		return nil, errGreeting
	case cfg.IDs == nil:
		return nil, errors.New("seal: no connection ids")
	case cfg.HalfOpen < 0:
		return nil, errors.New("seal: Config.HalfOpen is negative")
	}
	if cfg.HalfOpen == 0 {
		cfg.HalfOpen = defaultHalfOpen
	}
	if cfg.CookieRate == 0 {
		cfg.CookieRate = defaultCookieRate
	}
	if cfg.PrefixRate == 0 {
		cfg.PrefixRate = defaultPrefixRate
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	r := &Responder{
		cfg:    cfg,
		byName: make(map[[helloEnd - atName]byte]*half),
		byID:   make(map[uint32]*half),

		resumes: make(map[resumed]*half),
	}
	if cfg.ResumeSecret != [32]byte{} {
		r.secret = hmac.New(sha256.New, cfg.ResumeSecret[:])
	}
	return r, nil
}

// Counts returns what r did so far.
func (r *Responder) Counts() Counts { return r.counts }

// HalfOpen returns how many links are half open.
func (r *Responder) HalfOpen() int { return len(r.byID) }

// Handle takes a datagram with connection id 0. It does not keep b. It returns what is to be sent
// back to where it came from, nil for nothing; that lives until the next call,
// and is never longer than b. The error says why nothing came of b, which has
// been counted.
func (r *Responder) Handle(now time.Duration, from netip.AddrPort, b []byte) ([]byte, error) {
	_, what, ok := Parse(b)
	if !ok || what != WhatHello && what != WhatResumeHello {
		r.counts.Malformed++
		return nil, ErrWhat
	}
	if len(b) != HelloSize {
		r.counts.Malformed++
		return nil, ErrSize
	}
	if b[5] != wireVersion {
		r.counts.Malformed++
		return nil, ErrVersion
	}
	r.Expire(now)
	// Sent again, or late: the answer may have been lost.
	if h := r.byName[[helloEnd - atName]byte(b[atName:helloEnd])]; h != nil {
		r.counts.Repeated++
		return h.answer, nil
	}
	var key *Key
	if what == WhatHello {
		if key = r.key(b); key == nil {
			r.counts.WrongKey++
			return nil, ErrKey
		}
	}
	if r.asks(now, what) {
		if !r.cookies.check(now, from, b, r.cfg.Rand) {
			r.counts.Cookies++
			r.answer = r.cookies.appendCookie(r.answer[:0], now, from, b, r.cfg.Rand)
			return r.answer, nil
		}
		if r.cfg.PrefixRate > 0 && !r.admit(now, from.Addr()) {
			r.counts.Limited++
			return nil, ErrRate
		}
	}
	if what == WhatHello {
		return r.hello(now, from, key, b)
	}
	return r.resumeHello(now, from, b)
}

// asks reports whether a hello needs a cookie now, and counts with its network.
// One that resumes costs next to nothing, and nobody without a session can make
// it: many of them are players who come back, whom another round trip would only
// hold up. What they take is a place.
func (r *Responder) asks(now time.Duration, what byte) bool {
	high := r.load.high(now, 8*len(r.byID) > r.cfg.HalfOpen)
	if what == WhatResumeHello {
		high = 4*len(r.byID) > r.cfg.HalfOpen
	}
	return high || r.cfg.AlwaysCookie
}

// admit counts a handshake of an address that has shown a cookie.
func (r *Responder) admit(now time.Duration, ip netip.Addr) bool {
	return r.load.admit(now, r.cookies.hash(now, strangers.Network(ip, 32, 64), r.cfg.Rand), max(r.cfg.PrefixRate/2, 1)) &&
		r.load.admit(now, r.cookies.hash(now, network(ip), r.cfg.Rand), r.cfg.PrefixRate)
}

// network is what half-open links are shared by: what a customer may have of many.
func network(ip netip.Addr) netip.Prefix { return strangers.Network(ip, 24, 48) }

func (r *Responder) key(hello []byte) *Key {
	for i := range r.cfg.Keys {
		if k := &r.cfg.Keys[i]; bytes.Equal(k.id[:], hello[atKeyID:atKeyID+8]) {
			return k
		}
	}
	return nil
}

// hello does the public-key work.
func (r *Responder) hello(now time.Duration, from netip.AddrPort, key *Key, b []byte) ([]byte, error) {
	if r.cfg.CookieRate > 0 {
		r.load.worked(now, r.cfg.CookieRate)
	}
	r.counts.PublicKey++
	r.suite.begin(key.private, nil)
	hs, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: &r.suite, Pattern: noise.HandshakeNK,
		Prologue: prologue(b), StaticKeypair: namedKey(static, key.public[:]), Random: r.cfg.Rand,
	})
	if err != nil {
		return nil, err
	}
	if _, _, _, err := hs.ReadMessage(nil, b[atName:helloEnd]); err != nil {
		r.counts.Forged++
		return nil, ErrForged
	}
	id, ok := r.reserve()
	if !ok {
		return nil, ErrFull
	}
	answer := make([]byte, 0, maxAccept)
	answer = append(appendHead(answer, WhatAccept), b[atName:atName+8]...)
	answer, up, down, err := hs.WriteMessage(answer, r.payload(id))
	if err != nil {
		r.cfg.IDs.Free(id)
		return nil, err
	}
	upKey, downKey := up.UnsafeKey(), down.UnsafeKey()
	r.add(now, from, b, &half{conn: newConn(id, downKey[:], upKey[:]), nonce: linkNonce(hs), answer: answer})
	return answer, nil
}

// resumeHello does without.
func (r *Responder) resumeHello(now time.Duration, from netip.AddrPort, b []byte) ([]byte, error) {
	if r.secret == nil {
		r.counts.WrongKey++
		return nil, ErrKey
	}
	key := r.ResumeKey([16]byte(b[atName+16 : atTag]))
	r.suite.begin(nil, nil)
	if !checkResumeTag(r.suite.Hash, &key, b) {
		r.counts.Forged++
		return nil, ErrForged
	}
	which := resumed{[16]byte(b[atName+16 : atTag]), network(from.Addr())}
	if r.cfg.Over != nil && r.cfg.Over(which.session) {
		r.counts.Over++
		return nil, ErrOver
	}
	if h := r.resumes[which]; h != nil {
		r.evict(h) // its client has given it up for this one
	}
	answer := appendHead(make([]byte, 0, maxAccept), WhatResumeAccept)
	answer = append(answer, b[atName:atName+8]...)[:32]
	if _, err := io.ReadFull(r.cfg.Rand, answer[16:]); err != nil {
		return nil, err
	}
	id, ok := r.reserve()
	if !ok {
		return nil, ErrFull
	}
	r.counts.Resumed++
	keys := deriveResume(r.suite.Hash, &key, b, answer[16:32])
	var zero [chacha20poly1305.NonceSize]byte
	answer = keys.answer.Seal(answer, zero[:], r.payload(id), answer[:32])
	r.add(now, from, b, &half{conn: newConn(id, keys.down, keys.up), nonce: keys.nonce, answer: answer, resume: which})
	return answer, nil
}

// ResumeKey returns what opens further links of a session without public keys,
// zero without a Config.ResumeSecret. It follows from that and the session's id,
// so a server keeps nothing for it. It must reach the client over a sealed link,
// and never travel in clear: who reads it reads all links that it opens.
func (r *Responder) ResumeKey(session [16]byte) (key [32]byte) {
	if r.secret == nil {
		return key
	}
	r.secret.Reset()
	r.scratch = append(append(r.scratch[:0], labelResumeKey...), session[:]...)
	r.secret.Write(r.scratch)
	r.scratch = r.secret.Sum(r.scratch[:0])
	return [32]byte(r.scratch)
}

// payload is what an answer tells the client. It lives until the next call.
func (r *Responder) payload(id uint32) []byte {
	r.scratch = append(binary.LittleEndian.AppendUint32(r.scratch[:0], id), r.cfg.Greeting...)
	return r.scratch
}

// reserve makes room for another half-open link and gives it an id.
func (r *Responder) reserve() (id uint32, ok bool) {
	if len(r.byID) >= r.cfg.HalfOpen {
		r.evict(r.places.First().Value)
	}
	if id, ok = r.cfg.IDs.Reserve(); !ok {
		r.counts.Full++
	}
	return id, ok
}

// evict gives a half-open link up for another.
func (r *Responder) evict(h *half) {
	r.counts.Evicted++
	id := h.conn.id
	r.drop(h)
	r.cfg.IDs.Free(id)
}

func (r *Responder) add(now time.Duration, from netip.AddrPort, hello []byte, h *half) {
	h.name = [helloEnd - atName]byte(hello[atName:helloEnd])
	h.from, h.until = from, now+halfOpenTime
	r.byName[h.name] = h
	r.byID[h.conn.id] = h
	if h.resume != (resumed{}) {
		r.resumes[h.resume] = h
	}
	h.place = r.places.Add(network(from.Addr()), h)
	r.order = append(r.order, h)
	if len(r.order) > 2*r.cfg.HalfOpen { // most of them are not half open any more
		r.order = slices.DeleteFunc(r.order, func(h *half) bool { return !h.conn.Live() })
	}
}

// Confirmed is a half-open link that its peer was heard on.
type Confirmed struct {
	Conn  Conn // the caller's, from now on
	Nonce [16]byte
	First Opened // the datagram
	// Proved tells that First came from where the hello came from. If not, its
	// sender moved meanwhile, or somebody repeated one of them: its address is
	// to be used, within the budget of an unproved one, and to be challenged.
	Proved bool
}

// Confirm takes a sealed datagram for an id that names no link yet. If it is
// authentic for a half-open link, that is one from now on: it is the caller's
// and r forgets it. ErrUnknown means that no half-open link has the id.
func (r *Responder) Confirm(now time.Duration, from netip.AddrPort, b []byte) (c Confirmed, err error) {
	id, _, ok := Parse(b)
	if !ok {
		return c, ErrWhat
	}
	r.Expire(now)
	h := r.byID[id]
	if h == nil {
		return c, ErrUnknown
	}
	first, err := h.conn.Open(b)
	if err != nil {
		return c, err
	}
	c = Confirmed{Conn: h.conn, Nonce: h.nonce, First: first, Proved: h.from == from}
	r.drop(h)
	r.counts.Confirmed++
	return c, nil
}

func (r *Responder) drop(h *half) {
	delete(r.byName, h.name)
	delete(r.byID, h.conn.id)
	if r.resumes[h.resume] == h {
		delete(r.resumes, h.resume)
	}
	r.places.Remove(h.place)
	h.conn, h.answer = Conn{}, nil
}

// Expire gives up the half-open links whose time is over. Every other method
// does so too.
func (r *Responder) Expire(now time.Duration) {
	n := 0
	for _, h := range r.order {
		if h.until > now && h.conn.Live() {
			break
		}
		if h.conn.Live() {
			r.counts.Expired++
			id := h.conn.id
			r.drop(h)
			r.cfg.IDs.Free(id)
		}
		n++
	}
	if n > 0 {
		rest := copy(r.order, r.order[n:])
		clear(r.order[rest:])
		r.order = r.order[:rest]
	}
}

// Due returns when Expire has something to do, 0 if there is nothing.
func (r *Responder) Due() time.Duration {
	if len(r.order) == 0 {
		return 0
	}
	return r.order[0].until
}
