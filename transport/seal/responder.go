// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
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
	// Keys are the server's key pairs. A client may use any of them, so a new key
	// can be given to clients before the old one is removed. At least one.
	Keys []Key
	// ResumeSecret is the secret that Responder.ResumeKey derives seal keys from. If
	// zero, every link is opened with public keys.
	ResumeSecret [32]byte
	// Greeting is the bytes that every ACCEPT carries for the layer above, at most
	// MaxGreeting.
	Greeting []byte
	// IDs reserves and frees connection ids. It must not be nil.
	IDs IDs
	// HalfOpen is the most links that wait for the first sealed datagram of their
	// peer. If zero, 4,096. A further one evicts the oldest of the network that has
	// most of them. A HELLO needs a cookie when an eighth of them is in use, a
	// RESUME-HELLO when a quarter is.
	HalfOpen int
	// Over reports that a session has ended, so that its seal key opens no link
	// any more. Called on the loop. If nil, no session has.
	Over func(session [16]byte) bool
	// AlwaysCookie asks for a cookie in every handshake. That costs one round trip,
	// and no spoofed address ever causes a public-key operation.
	AlwaysCookie bool
	// CookieRate is the rate of handshakes with public keys, in one second, above
	// which cookies are asked for, for at least 10 seconds. If zero, 200. If negative,
	// the rate does not matter.
	CookieRate int
	// AddressRate is the most handshakes of one address, or one IPv6 /64, in a second
	// while cookies are asked for; ten seconds of it may come at once. All of an IPv4
	// /24, or an IPv6 /48, get twice as many. If zero, 100. If negative, there is no
	// bound.
	AddressRate int
	// Exempt reports that AddressRate does not bound the handshakes of an address, as
	// of a proxy that stands for many players. Called on the loop. If nil, it bounds all.
	Exempt func(netip.Addr) bool
	// Rand is the source of randomness. If nil, crypto/rand.
	Rand io.Reader
}

// IDs owns the connection ids.
type IDs interface {
	// Reserve returns an id that names no other link, not 0.
	Reserve() (id uint32, ok bool)
	// Free takes back the id of a half-open link that never became a link.
	Free(id uint32)
}

// Counts are the counters of a Responder. They only grow.
type Counts struct {
	PublicKey uint64 `json:"public_key"` // handshakes for which public-key work was done
	Resumed   uint64 `json:"resumed"`    // handshakes without
	Repeated  uint64 `json:"repeated"`   // hellos that got the same answer again
	Cookies   uint64 `json:"cookies"`    // hellos that were answered with a cookie
	Expired   uint64 `json:"expired"`    // half-open links whose peer sent nothing in time
	Evicted   uint64 `json:"evicted"`    // half-open links that made room for another
	Confirmed uint64 `json:"confirmed"`  // half-open links that became links
	Resets    uint64 `json:"resets"`     // resets sent
	// Hellos dropped, by reason.
	Malformed    uint64 `json:"malformed"`
	WrongKey     uint64 `json:"wrong_key"`
	Forged       uint64 `json:"forged"`
	RateLimited  uint64 `json:"rate_limited"`
	SessionEnded uint64 `json:"session_ended"`
	Full         uint64 `json:"full"`
}

// Add adds the counts of another Responder.
func (c *Counts) Add(d Counts) {
	c.PublicKey += d.PublicKey
	c.Resumed += d.Resumed
	c.Repeated += d.Repeated
	c.Cookies += d.Cookies
	c.Expired += d.Expired
	c.Evicted += d.Evicted
	c.Confirmed += d.Confirmed
	c.Resets += d.Resets
	c.Malformed += d.Malformed
	c.WrongKey += d.WrongKey
	c.Forged += d.Forged
	c.RateLimited += d.RateLimited
	c.SessionEnded += d.SessionEnded
	c.Full += d.Full
}

const (
	defaultHalfOpen    = 4096
	defaultCookieRate  = 200
	defaultAddressRate = 100
	addressBurst       = 10 // seconds of the rate
	networkShare       = 2  // times the rate of an address
	halfOpenTimeout    = 5 * time.Second
)

// halfOpen is a half-open link: the server has accepted it, and nothing was
// received on it.
type halfOpen struct {
	name   [helloEnd - atName]byte // of the hello that made it
	from   netip.AddrPort
	until  time.Duration
	conn   Conn
	nonce  [16]byte
	answer []byte
	resume resumed // zero if it was opened with public keys
	place  *strangers.Entry[*halfOpen]
}

// resumed names the half-open link of a session. There is one for each network that
// a RESUME-HELLO came from: an observer that repeats one from another network
// evicts no link of the client.
type resumed struct {
	session [16]byte
	from    netip.Prefix
}

// Responder answers the handshakes of one loop. Owned by that loop.
type Responder struct {
	cfg     Config
	byName  map[[helloEnd - atName]byte]*halfOpen
	byID    map[uint32]*halfOpen
	resumes map[resumed]*halfOpen
	places  strangers.Table[*halfOpen]
	order   []*halfOpen // by until; those confirmed have no conn any more
	secret  hash.Hash   // HMAC with Config.ResumeSecret, nil without one
	suite   suite
	cookies cookieJar
	load    load
	resets  Resets
	answer  []byte // of the latest call
	scratch []byte // an argument of an interface method escapes
	counts  Counts
}

// NewResponder checks cfg and makes a Responder. An error names the fault in cfg.
func NewResponder(cfg Config) (*Responder, error) {
	switch {
	case len(cfg.Keys) == 0:
		return nil, errors.New("seal: Config.Keys is empty")
	case slices.Contains(cfg.Keys, Key{}):
		return nil, errors.New("seal: Config.Keys has a zero key")
	case len(cfg.Greeting) > MaxGreeting:
		return nil, errors.New("seal: greeting longer than MaxGreeting")
	case cfg.IDs == nil:
		return nil, errors.New("seal: Config.IDs is nil")
	case cfg.HalfOpen < 0:
		return nil, errors.New("seal: Config.HalfOpen is negative")
	}
	cfg.HalfOpen = cmp.Or(cfg.HalfOpen, defaultHalfOpen)
	cfg.CookieRate = cmp.Or(cfg.CookieRate, defaultCookieRate)
	cfg.AddressRate = cmp.Or(cfg.AddressRate, defaultAddressRate)
	cfg.Rand = cmp.Or(cfg.Rand, rand.Reader)
	r := &Responder{
		cfg:    cfg,
		byName: make(map[[helloEnd - atName]byte]*halfOpen),
		byID:   make(map[uint32]*halfOpen),

		resumes: make(map[resumed]*halfOpen),
	}
	if cfg.ResumeSecret != [32]byte{} {
		r.secret = hmac.New(sha256.New, cfg.ResumeSecret[:])
	}
	return r, nil
}

// Counts returns the counters.
func (r *Responder) Counts() Counts { return r.counts }

// HalfOpen returns the number of half-open links.
func (r *Responder) HalfOpen() int { return len(r.byID) }

// Handle takes a datagram with connection id 0. It does not keep b. It returns the
// answer to send to from, or nil. The answer is valid until the next call, and
// never longer than b. The error is the reason for which b was refused; Counts has
// counted it.
func (r *Responder) Handle(now time.Duration, from netip.AddrPort, b []byte) ([]byte, error) {
	t, err := r.helloType(b, HelloSize)
	if err != nil {
		return nil, err
	}
	r.Expire(now)
	// Sent again, or late: the answer may have been lost.
	if h := r.byName[[helloEnd - atName]byte(b[atName:helloEnd])]; h != nil {
		r.counts.Repeated++
		return h.answer, nil
	}
	var key *Key
	if t == TypeHello {
		if key = r.keyNamed(b[atKeyID : atKeyID+8]); key == nil {
			r.counts.WrongKey++
			return nil, ErrKey
		}
	}
	if r.needsCookie(now, t) {
		if !r.cookies.check(now, from, b, r.cfg.Rand) {
			r.counts.Cookies++
			r.answer = r.cookies.appendCookie(r.answer[:0], now, from, b, r.cfg.Rand)
			return r.answer, nil
		}
		if !r.admit(now, from.Addr()) {
			r.counts.RateLimited++
			return nil, ErrRate
		}
	}
	if t == TypeHello {
		return r.hello(now, from, key, b)
	}
	return r.resumeHello(now, from, b)
}

// helloType returns the type of a hello, which has size bytes. It counts what is none.
func (r *Responder) helloType(b []byte, size int) (t PacketType, err error) {
	_, t, ok := Parse(b)
	switch {
	case !ok || t != TypeHello && t != TypeResumeHello:
		err = ErrPacketType
	case len(b) != size:
		err = ErrSize
	case b[5] != wireVersion:
		err = ErrVersion
	default:
		return t, nil
	}
	r.counts.Malformed++
	return t, err
}

// needsCookie reports whether a hello of type t needs a cookie now. A RESUME-HELLO
// costs next to nothing, and only a client that has a session can make one: many of
// them are players that come back, and a round trip would delay them. So only the
// places that they take count.
func (r *Responder) needsCookie(now time.Duration, t PacketType) bool {
	high := r.load.high(now, 8*len(r.byID) > r.cfg.HalfOpen)
	if t == TypeResumeHello {
		high = 4*len(r.byID) > r.cfg.HalfOpen
	}
	return high || r.cfg.AlwaysCookie
}

// admit counts a handshake of an address that is validated, or refuses it.
func (r *Responder) admit(now time.Duration, ip netip.Addr) bool {
	rate := r.cfg.AddressRate
	if rate < 0 || r.cfg.Exempt != nil && r.cfg.Exempt(ip) {
		return true
	}
	return r.load.admit(now, r.cookies.hash(now, strangers.Network(ip, 32, 64), r.cfg.Rand), rate) &&
		r.load.admit(now, r.cookies.hash(now, network(ip), r.cfg.Rand), networkShare*rate)
}

// network is the unit that half-open links are limited by: the addresses that one
// customer of a provider may have.
func network(ip netip.Addr) netip.Prefix { return strangers.Network(ip, 24, 48) }

func (r *Responder) keyNamed(id []byte) *Key {
	for i := range r.cfg.Keys {
		if k := &r.cfg.Keys[i]; bytes.Equal(k.id[:], id) {
			return k
		}
	}
	return nil
}

// hello answers a HELLO. It costs public-key operations.
func (r *Responder) hello(now time.Duration, from netip.AddrPort, key *Key, b []byte) ([]byte, error) {
	hs, err := r.respond(now, key, prologue(labelPrologue, b[:atCookie]), b[atName:helloEnd])
	if err != nil {
		return nil, err
	}
	id, ok := r.reserve()
	if !ok {
		return nil, ErrFull
	}
	answer := make([]byte, 0, maxAccept)
	answer = append(appendHead(answer, TypeAccept), b[atName:atName+8]...)
	answer, up, down, err := hs.WriteMessage(answer, r.payload(id))
	if err != nil {
		r.cfg.IDs.Free(id)
		return nil, err
	}
	upKey, downKey := up.UnsafeKey(), down.UnsafeKey()
	r.add(now, from, b, &halfOpen{conn: newConn(id, downKey[:], upKey[:]), nonce: linkNonce(hs), answer: answer})
	return answer, nil
}

// respond reads the Noise message of a HELLO, of datagrams or of a stream. It counts the
// work, and a message that is not authentic.
func (r *Responder) respond(now time.Duration, key *Key, prologue, message []byte) (*noise.HandshakeState, error) {
	if r.cfg.CookieRate > 0 {
		r.load.countPublicKey(now, r.cfg.CookieRate)
	}
	r.counts.PublicKey++
	r.suite.begin(noise.DHKey{})
	hs, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: &r.suite, Pattern: noise.HandshakeNK,
		Prologue: prologue, StaticKeypair: noise.DHKey{Private: key.private[:], Public: key.public[:]}, Random: r.cfg.Rand,
	})
	if err != nil {
		return nil, err
	}
	if _, _, _, err := hs.ReadMessage(nil, message); err != nil {
		r.counts.Forged++
		return nil, ErrForged
	}
	return hs, nil
}

// resumeHello answers a RESUME-HELLO. It costs no public-key operation.
func (r *Responder) resumeHello(now time.Duration, from netip.AddrPort, b []byte) ([]byte, error) {
	session, key, err := r.proven(b, atName, labelResumeTag)
	if err != nil {
		return nil, err
	}
	which := resumed{session, network(from.Addr())}
	if h := r.resumes[which]; h != nil {
		r.evict(h) // its client uses this one instead
	}
	answer := appendHead(make([]byte, 0, maxAccept), TypeResumeAccept)
	answer = append(answer, b[atName:atName+8]...)[:32]
	if _, err := io.ReadFull(r.cfg.Rand, answer[16:]); err != nil {
		return nil, err
	}
	id, ok := r.reserve()
	if !ok {
		return nil, ErrFull
	}
	r.counts.Resumed++
	keys := deriveResume(r.suite.Hash, key, b, answer[16:32])
	var zero [chacha20poly1305.NonceSize]byte
	answer = keys.answer.Seal(answer, zero[:], r.payload(id), answer[:32])
	r.add(now, from, b, &halfOpen{conn: newConn(id, keys.down, keys.up), nonce: keys.nonce, answer: answer, resume: which})
	return answer, nil
}

// proven returns the session of a RESUME-HELLO and its seal key, if that has made the tag
// and still opens links. It counts a refusal. at and label are as in resumeTag.
func (r *Responder) proven(hello []byte, at int, label string) (session [16]byte, _ *[32]byte, err error) {
	if r.secret == nil {
		r.counts.WrongKey++
		return session, nil, ErrKey
	}
	session = [16]byte(hello[at+16:])
	key := r.ResumeKey(session)
	r.suite.begin(noise.DHKey{})
	if tag := resumeTag(r.suite.Hash, &key, hello, at, label); subtle.ConstantTimeCompare(tag[:], hello[at+32:at+48]) != 1 {
		r.counts.Forged++
		return session, nil, ErrForged
	}
	if r.cfg.Over != nil && r.cfg.Over(session) {
		r.counts.SessionEnded++
		return session, nil, ErrOver
	}
	return session, &key, nil
}

// ResumeKey returns the seal key of a session, which opens further links without
// public keys. It is zero without a Config.ResumeSecret. It is derived from that
// secret and the session's id, so a server stores nothing for it. It must reach the
// client over a sealed link and never travel in clear: an observer that has it can
// decrypt all links that it opens.
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

// payload returns the payload of an answer (SPEC 2.7). It is valid until the next
// call.
func (r *Responder) payload(id uint32) []byte {
	r.scratch = append(binary.LittleEndian.AppendUint32(r.scratch[:0], id), r.cfg.Greeting...)
	return r.scratch
}

// reserve makes room for another half-open link, and reserves an id for it.
func (r *Responder) reserve() (id uint32, ok bool) {
	if len(r.byID) >= r.cfg.HalfOpen {
		r.evict(r.places.First().Value)
	}
	if id, ok = r.cfg.IDs.Reserve(); !ok {
		r.counts.Full++
	}
	return id, ok
}

// evict removes a half-open link, to make room for another.
func (r *Responder) evict(h *halfOpen) {
	r.counts.Evicted++
	id := h.conn.id
	r.drop(h)
	r.cfg.IDs.Free(id)
}

func (r *Responder) add(now time.Duration, from netip.AddrPort, hello []byte, h *halfOpen) {
	h.name = [helloEnd - atName]byte(hello[atName:helloEnd])
	h.from, h.until = from, now+halfOpenTimeout
	r.byName[h.name] = h
	r.byID[h.conn.id] = h
	if h.resume != (resumed{}) {
		r.resumes[h.resume] = h
	}
	h.place = r.places.Add(network(from.Addr()), h)
	r.order = append(r.order, h)
	if len(r.order) > 2*r.cfg.HalfOpen { // most of them are half open no longer
		r.order = slices.DeleteFunc(r.order, func(h *halfOpen) bool { return !h.conn.Live() })
	}
}

// Confirmed is a link that was half open until its peer's first datagram.
type Confirmed struct {
	Conn  Conn // owned by the caller from now on
	Nonce [16]byte
	First Opened // the datagram
	// Validated says that First came from the address that the hello came from. If
	// not, the peer has moved meanwhile, or one of the two datagrams was forwarded
	// by an attacker: the caller uses the address of First within the
	// anti-amplification limit (RFC 9000 §8), and sends a challenge there.
	Validated bool
}

// Confirm takes a sealed datagram for an id that names no link yet. If it is
// authentic for a half-open link, it confirms that link: the link is the caller's
// from now on, and r forgets it. ErrUnknown means that no half-open link has the id.
func (r *Responder) Confirm(now time.Duration, from netip.AddrPort, b []byte) (c Confirmed, err error) {
	id, _, ok := Parse(b)
	if !ok {
		return c, ErrPacketType
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
	c = Confirmed{Conn: h.conn, Nonce: h.nonce, First: first, Validated: h.from == from}
	r.drop(h)
	r.counts.Confirmed++
	return c, nil
}

func (r *Responder) drop(h *halfOpen) {
	delete(r.byName, h.name)
	delete(r.byID, h.conn.id)
	if r.resumes[h.resume] == h {
		delete(r.resumes, h.resume)
	}
	r.places.Remove(h.place)
	h.conn, h.answer = Conn{}, nil
}

// Expire removes the half-open links whose time is over. Handle and Confirm do so
// too.
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
	r.order = slices.Delete(r.order, 0, n)
}

// Due returns when the next half-open link expires, 0 if there is none.
func (r *Responder) Due() time.Duration {
	if len(r.order) == 0 {
		return 0
	}
	return r.order[0].until
}
