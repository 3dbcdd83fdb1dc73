// SPDX-License-Identifier: MIT

// Command cases writes random test cases for clients in other languages: what the
// primitives of transport/seal make of random input, sealed streams of both kinds,
// and transcripts of conversations of transport/kcp over a bad network. Every line is one case or
// one step; binary is hexadecimal, "-" when empty, times are nanoseconds.
//
//	go run ./framework/client/foreign/cases -n 10000 >cases.txt
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/seal"
)

func main() {
	n := flag.Int("n", 10000, "cases of each primitive")
	talks := flag.Int("talks", 200, "conversations of KCP")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	flag.Parse()
	w := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(w, "seed", *seed)
	g := &generator{w: w, rng: rand.New(rand.NewPCG(*seed, 0))}
	for range *n {
		if err := errors.Join(g.primitives(), g.stream()); err != nil {
			log.Fatal(err)
		}
	}
	for range *talks {
		if err := g.talk(); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
}

type generator struct {
	w      *bufio.Writer
	rng    *rand.Rand
	server *seal.Responder // of streams
	key    seal.PublicKey  // the server's
}

// Read makes a generator a source of randomness.
func (g *generator) Read(b []byte) (int, error) { return copy(b, g.bytes(len(b))), nil }

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rng.Uint32())
	}
	return b
}

// upTo returns random bytes, of any length up to n.
func (g *generator) upTo(n int) []byte { return g.bytes(g.rng.IntN(n + 1)) }

// print writes a line: bytes as hexadecimal, the rest as it is.
func (g *generator) print(verb string, fields ...any) {
	g.w.WriteString(verb)
	for _, f := range fields {
		g.w.WriteByte(' ')
		switch f := f.(type) {
		case []byte:
			if len(f) == 0 {
				g.w.WriteByte('-')
			}
			g.w.WriteString(hex.EncodeToString(f))
		case time.Duration:
			fmt.Fprint(g.w, f.Nanoseconds())
		default:
			fmt.Fprint(g.w, f)
		}
	}
	g.w.WriteByte('\n')
}

// primitives writes one case of each.
func (g *generator) primitives() error {
	b := g.upTo(300)
	sum := sha256.Sum256(b)
	g.print("sha256", b, sum[:])

	key, b := g.upTo(100), g.upTo(200)
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	g.print("hmac", key, b, mac.Sum(nil))

	secret, salt, info, n := g.upTo(64), g.upTo(64), g.upTo(64), 1+g.rng.IntN(200)
	derived, err := hkdf.Key(sha256.New, secret, salt, string(info), n)
	if err != nil {
		return err
	}
	g.print("hkdf", secret, salt, info, derived)

	key, ad, plain, number := g.bytes(32), g.upTo(40), g.upTo(400), g.rng.Uint64()
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return err
	}
	nonce := binary.LittleEndian.AppendUint64(make([]byte, 4, 12), number)
	g.print("aead", key, number, ad, plain, aead.Seal(nil, nonce, plain, ad))

	// The key of the next records of a stream: what 32 zero bytes are encrypted to.
	last := binary.LittleEndian.AppendUint64(make([]byte, 4, 12), math.MaxUint64)
	next, err := chacha20poly1305.New(aead.Seal(nil, last, make([]byte, 32), nil)[:32])
	if err != nil {
		return err
	}
	g.print("rekey", key, plain, next.Seal(nil, make([]byte, 12), plain, nil))

	scalar, point := g.bytes(32), g.bytes(32)
	if g.rng.IntN(20) == 0 { // near the ends of the field
		point = bytes.Repeat([]byte{byte(-g.rng.IntN(2))}, 32)
		point[0], point[31] = byte(g.rng.Uint32()), point[31]^byte(g.rng.IntN(2)<<7)
	}
	private, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return err
	}
	public, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		return err
	}
	shared, err := private.ECDH(public)
	if err != nil {
		shared = make([]byte, 32) // a point of low order
	}
	g.print("x25519", scalar, point, shared)
	return nil
}

// stream writes how a client opens a stream, with the server's key or a seal key,
// and its first record each way.
func (g *generator) stream() error {
	if g.server == nil {
		key, err := seal.NewKey(g)
		if err != nil {
			return err
		}
		g.key = key.Public()
		// Streams take no connection id, so there is nothing to own.
		cfg := seal.Config{Keys: []seal.Key{key}, ResumeSecret: [32]byte(g.bytes(32)), Greeting: []byte{1}, IDs: struct{ seal.IDs }{}, CookieRate: -1, AddressRate: -1, Rand: g}
		if g.server, err = seal.NewResponder(cfg); err != nil {
			return err
		}
	}
	drawn, session := g.bytes(32), [16]byte(g.bytes(16))
	resumes := g.rng.IntN(2) == 0
	i, err := seal.NewStreamInitiator(g.key, bytes.NewReader(drawn))
	if resumes {
		drawn = drawn[:16]
		i, err = seal.NewStreamResumer(session, g.server.ResumeKey(session), bytes.NewReader(drawn))
	}
	if err != nil {
		return err
	}
	server, answer, err := g.server.AcceptStream(0, netip.Addr{}, i.Hello())
	if err != nil {
		return err
	}
	client, _, err := i.Accept(answer)
	if err != nil {
		return err
	}
	plain := g.bytes(1 + g.rng.IntN(300))
	up, down := record(&client.Stream, plain), record(&server.Stream, plain)
	if sealKey := g.server.ResumeKey(session); resumes {
		g.print("resumed-stream", session[:], sealKey[:], drawn, answer, down, i.Hello(), client.Nonce[:], plain, up)
	} else {
		g.print("stream", g.key[:], drawn, answer, down, i.Hello(), client.Nonce[:], plain, up)
	}
	return nil
}

func record(s *seal.Stream, plain []byte) []byte {
	return s.Seal(append(make([]byte, seal.RecordHead, seal.RecordOverhead+len(plain)), plain...))
}

// words names why transport/kcp refuses a datagram.
var words = map[error]string{
	nil: "ok", kcp.ErrShort: "short", kcp.ErrConv: "conv", kcp.ErrCommand: "command", kcp.ErrTruncated: "truncated", kcp.ErrFragment: "fragment",
	kcp.ErrUnsent: "unsent", kcp.ErrTooLarge: "too-large", kcp.ErrEmpty: "empty", kcp.ErrWindow: "window",
}

// end is one side of a conversation. What the told one does is written down.
type end struct {
	kcp.Conn
	told bool
	in   []parcel // on its way here
}

type parcel struct {
	at time.Duration
	b  []byte
}

// talk writes down what one side of a conversation does on a network that
// loses, delays, repeats and damages datagrams, and falls silent now and then.
func (g *generator) talk() error {
	cut, send, receive := 200+g.rng.IntN(1001), 4+g.rng.IntN(252), 8+g.rng.IntN(121)
	stall := time.Duration(2+g.rng.IntN(20)) * time.Second
	cfg := &kcp.Config{Cut: cut, SendWindow: send, RecvWindow: receive, StallTimeout: stall}
	conv := g.rng.Uint32()
	var a, b end
	a.Init(conv, cfg)
	b.Init(conv, cfg)
	a.told = true
	g.print("kcp", conv, cut, send, receive, stall)
	now := time.Duration(g.rng.Int64N(int64(60 * 24 * time.Hour))) // stamps wrap
	loss, delay, quiet := g.rng.IntN(30), 1+g.rng.IntN(200), time.Duration(0)
	for range 200 + g.rng.IntN(400) {
		now += time.Duration(g.rng.Int64N(int64(25 * time.Millisecond)))
		if g.rng.IntN(300) == 0 {
			quiet = now + time.Duration(g.rng.IntN(4000))*time.Millisecond
		}
		for _, e := range []*end{&a, &b} {
			if err := g.step(e, now); err != nil {
				return err
			}
		}
		for d := range g.output(&a, now) {
			g.carry(&b, d, now, loss, delay, quiet)
		}
		for d := range g.output(&b, now) {
			g.carry(&a, d, now, loss, delay, quiet)
		}
	}
	return nil
}

// step lets an end receive, read and write.
func (g *generator) step(e *end, now time.Duration) error {
	var later []parcel
	for _, p := range e.in {
		if p.at > now {
			later = append(later, p)
			continue
		}
		word, ok := words[e.Input(now, p.b)]
		if !ok {
			return fmt.Errorf("kcp: an error without a word")
		}
		if e.told {
			g.print("in", now, p.b, word)
		}
	}
	e.in = later
	if g.rng.IntN(4) > 0 {
		var read []byte
		for b := e.Peek(); b != nil; b = e.Peek() {
			read = append(read, b...)
			e.Discard(len(b))
		}
		if e.told {
			g.print("read", read)
		}
	}
	if g.rng.IntN(3) == 0 {
		size := 100
		if g.rng.IntN(10) == 0 {
			size = 5000
		}
		b := g.bytes(min(1+g.rng.IntN(size), e.Room()))
		if err := e.Write(b); err != nil {
			return err
		}
		if e.told && len(b) > 0 {
			g.print("write", b)
		}
	}
	if e.told && g.rng.IntN(200) == 0 {
		e.Moved()
		g.print("moved")
	}
	if e.told && g.rng.IntN(200) == 0 {
		mtu := kcp.MinMTU + g.rng.IntN(1450)
		if err := e.SetMTU(mtu); err != nil {
			return err
		}
		g.print("mtu", mtu)
	}
	return nil
}

// output takes what an end sends.
func (g *generator) output(e *end, now time.Duration) func(func([]byte) bool) {
	const limit = 1472
	var all [][]byte
	for {
		d := e.Output(now, nil, limit)
		if len(d) == 0 {
			break
		}
		all = append(all, d)
	}
	if e.told {
		fields := []any{now, e.NextDeadline(now), e.Err() != nil}
		for _, d := range all {
			fields = append(fields, d)
		}
		g.print("out", fields...)
	}
	return func(yield func([]byte) bool) {
		for _, d := range all {
			if !yield(d) {
				return
			}
		}
	}
}

// carry brings a datagram to an end, if it gets there.
func (g *generator) carry(to *end, d []byte, now time.Duration, loss, delay int, quiet time.Duration) {
	for range 1 + g.rng.IntN(20)/19 { // one in twenty comes twice
		if now < quiet || g.rng.IntN(100) < loss {
			continue
		}
		b := bytes.Clone(d)
		if g.rng.IntN(30) == 0 {
			b[g.rng.IntN(min(len(b), 24))] ^= byte(1 << g.rng.IntN(8))
		}
		if g.rng.IntN(100) == 0 {
			b = b[:g.rng.IntN(len(b))]
		}
		to.in = append(to.in, parcel{now + time.Duration(delay/2+g.rng.IntN(delay))*time.Millisecond, b})
	}
}
