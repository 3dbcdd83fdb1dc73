// SPDX-License-Identifier: MIT

package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// ProtocolVersion is what GREETING and HELLO carry: SPEC 2.1.
const ProtocolVersion = 1

// ErrControl is a control packet whose body does not match SPEC 3.
var ErrControl = errors.New("session: malformed control packet")

// The bodies of control packets as they stand on the wire, arrays in this
// order (SPEC 3). Fields are only ever appended. One that came later is written only
// where it says something: so a peer that does not know it gets what it always got.
type (
	greetingBody struct {
		Version uint8
		Nonce   []byte
	}
	helloBody struct {
		Version uint8
		Nonce   []byte
		Opening []byte
		Ticket  []byte
		Info    string
		Routes  []byte
		Attempt uint64
	}
	paramsFields struct {
		Interval, Timeout, Grace, Window uint32 // milliseconds
		MaxBody, Packets, Bytes          uint32
	}
	paramsBody struct {
		paramsFields
		Reopens trueOnly
	}
	welcomeBody struct {
		ID     []byte
		Key    []byte
		Base   uint64
		Recv   uint64
		Params paramsBody
		Routes []string
		Seal   []byte
	}
	resumeBody struct {
		ID      []byte
		Attempt uint64
		Recv    *uint64
		Lowest  uint64
		Proof   []byte
	}
	resumeCanBody struct {
		resumeBody
		Can uint32
	}
	resumedBody struct {
		Epoch  uint32
		Recv   uint64
		Hold   bool
		Params paramsBody
	}
	resetBody struct {
		Epoch  uint32
		Base   uint64
		Recv   uint64
		Hold   bool
		Reason uint32
		Params paramsBody
		Routes []string
	}
	resetRestartBody struct {
		resetBody
		Restart bool
	}
	endBody struct { // REFUSED and BYE
		Code   uint32
		Text   string
		Detail uint64
	}
	tuneBody struct {
		Interval, Timeout uint32
	}
	moveBody struct {
		Delay   uint32
		Address string
	}
	emptyBody struct{}
)

// appendControl appends a control packet. Its body is one of the types above, so
// encoding can't fail.
func appendControl(dst []byte, kind codec.Kind, body any) []byte {
	b, err := codec.AppendBody(make([]byte, 0, 128), body)
	if err != nil {
		panic(fmt.Sprintf("session: encode %v: %v", kind, err))
	}
	return codec.AppendFrame(dst, codec.Header{Kind: kind}, b)
}

func decodeControl(p codec.Packet, into any) error {
	if err := codec.DecodeBody(p.Body, into); err != nil {
		return fmt.Errorf("%w: %v: %w", ErrControl, p.Kind, err)
	}
	return nil
}

func fixed(dst, src []byte) error {
	if len(dst) != len(src) {
		return fmt.Errorf("%w: %d bytes, want %d", ErrControl, len(src), len(dst))
	}
	copy(dst, src)
	return nil
}

// Params are the parameters that the server sets for a client: SPEC 3.4.
type Params struct {
	Interval time.Duration // of heartbeats
	Timeout  time.Duration // silence that ends a link
	Grace    time.Duration // how long a session waits for its player
	Window   time.Duration // over which clients spread their return
	MaxBody  int           // bytes
	Packets  int           // most unacknowledged packets from the client
	Bytes    int           // most unacknowledged body bytes from the client
	Reopens  bool          // another server may reopen the session: SPEC 6.8
}

// maxMillis is the longest duration that a peer may send: 24 days, so that
// arithmetic on it can't overflow.
const (
	maxMillis   = 1 << 31
	maxDuration = maxMillis * time.Millisecond
)

// maxWait is the longest time that a client waits because a server says so.
const maxWait = 10 * time.Minute

// maxBytes is the most bytes that may be unacknowledged, and maxCount the highest
// counter that a peer may send, so that arithmetic on either can't overflow.
const (
	maxBytes = 1 << 30
	maxCount = 1 << 62
)

func millis(d time.Duration) uint32 { return uint32(min(d.Milliseconds(), maxMillis)) }

func fromMillis(ms uint32) time.Duration {
	return time.Duration(min(ms, maxMillis)) * time.Millisecond
}

func (p Params) body() paramsBody {
	return paramsBody{paramsFields{
		Interval: millis(p.Interval), Timeout: millis(p.Timeout), Grace: millis(p.Grace), Window: millis(p.Window),
		MaxBody: uint32(p.MaxBody), Packets: uint32(p.Packets), Bytes: uint32(p.Bytes),
	}, trueOnly(p.Reopens)}
}

// trueOnly is true if it is the msgpack value true, and false if it is any other one: a
// script of version 1 has a text in that place.
type trueOnly bool

// MarshalMsgpack returns true, or false.
func (v trueOnly) MarshalMsgpack() ([]byte, error) { return codec.AppendBody(nil, bool(v)) }

// UnmarshalMsgpack takes any value.
func (v *trueOnly) UnmarshalMsgpack(b []byte) error {
	*v = len(b) == 1 && b[0] == 0xc3
	return nil
}

// allParams is a paramsBody that is encoded as a struct is.
type allParams paramsBody

// MarshalMsgpack leaves out what came later, if it says nothing.
func (b paramsBody) MarshalMsgpack() ([]byte, error) {
	if b.Reopens {
		return codec.AppendBody(nil, (*allParams)(&b))
	}
	return codec.AppendBody(nil, &b.paramsFields)
}

// UnmarshalMsgpack reads what any server writes.
func (b *paramsBody) UnmarshalMsgpack(from []byte) error {
	return codec.DecodeBody(from, (*allParams)(b))
}

func (b paramsBody) params() (Params, error) {
	p := Params{
		Interval: fromMillis(b.Interval), Timeout: fromMillis(b.Timeout),
		Grace: fromMillis(b.Grace), Window: fromMillis(b.Window),
		MaxBody: int(min(b.MaxBody, 1<<28-1)), Packets: int(min(b.Packets, maxWindow)), Bytes: int(min(b.Bytes, maxBytes)),
		Reopens: bool(b.Reopens),
	}
	if p.Interval <= 0 || p.Timeout < 2*p.Interval || p.MaxBody <= 0 || p.Packets <= 0 || p.Bytes < p.MaxBody {
		return Params{}, fmt.Errorf("%w: parameters %+v", ErrControl, p)
	}
	return p, nil
}

// AppendGreeting appends the GREETING that opens every link.
func AppendGreeting(dst []byte, nonce Nonce) []byte {
	return appendControl(dst, codec.Greeting, &greetingBody{ProtocolVersion, nonce[:]})
}

func parseGreeting(p codec.Packet) (version uint8, nonce Nonce, err error) {
	var b greetingBody
	if err := decodeControl(p, &b); err != nil {
		return 0, nonce, err
	}
	return b.Version, nonce, fixed(nonce[:], b.Nonce)
}

// HelloRequest asks for a new session.
type HelloRequest struct {
	Version uint8
	Nonce   Nonce
	Opening [16]byte // random; the same in every repetition of this login
	Ticket  []byte   // for the game's authentication
	Info    string   // of the client: build, platform
	Routes  []byte   // hash of the dictionary it has; empty if it has none, nil if it knows names only
	Attempt uint64   // from 1; the highest one of an opening id wins
}

func (h *HelloRequest) append(dst []byte) []byte {
	return appendControl(dst, codec.Hello, &helloBody{h.Version, h.Nonce[:], h.Opening[:], h.Ticket, h.Info, h.Routes, h.Attempt})
}

// ParseHello reads a HELLO.
func ParseHello(p codec.Packet) (*HelloRequest, error) {
	var b helloBody
	if err := decodeControl(p, &b); err != nil {
		return nil, err
	}
	h := &HelloRequest{Version: b.Version, Ticket: b.Ticket, Info: b.Info, Routes: b.Routes, Attempt: b.Attempt}
	if err := fixed(h.Nonce[:], b.Nonce); err != nil {
		return nil, err
	}
	return h, fixed(h.Opening[:], b.Opening)
}

// ResumeRequest asks to carry on a session on a new link.
type ResumeRequest struct {
	ID      ID
	Attempt uint64 // the highest one wins
	Fresh   bool   // the client has lost what it had received: the answer is RESET
	Recv    uint64 // how many counted packets it has accepted; 0 when Fresh
	Lowest  uint64 // number of the oldest packet it can still send again
	Proof   [32]byte
	Can     uint32 // what the client knows of what came later: CanRestart

	// Routes is not on the wire. It is the server's dictionary, for the RESET that
	// answers a client without it. Nil for a client that knows names only.
	Routes []string
}

// CanRestart is the bit of ResumeRequest.Can that says that the client knows what
// restart means in a RESET: SPEC 6.8.
const CanRestart = 1

func (r *ResumeRequest) append(dst []byte) []byte {
	b := resumeBody{r.ID[:], r.Attempt, &r.Recv, r.Lowest, r.Proof[:]}
	if r.Fresh {
		b.Recv = nil
	}
	if r.Can != 0 {
		return appendControl(dst, codec.Resume, &resumeCanBody{b, r.Can})
	}
	return appendControl(dst, codec.Resume, &b)
}

// ParseResume reads a RESUME. Keys.Verify verifies its proof.
func ParseResume(p codec.Packet) (*ResumeRequest, error) {
	var b resumeCanBody
	if err := decodeControl(p, &b); err != nil {
		return nil, err
	}
	r := &ResumeRequest{Attempt: b.Attempt, Fresh: b.Recv == nil, Lowest: b.Lowest, Can: b.Can}
	if b.Recv != nil {
		r.Recv = *b.Recv
	}
	if err := fixed(r.ID[:], b.ID); err != nil {
		return nil, err
	}
	return r, fixed(r.Proof[:], b.Proof)
}

// AppendRefused appends the REFUSED that answers a HELLO or RESUME.
func AppendRefused(dst []byte, e *CloseError) []byte {
	return appendControl(dst, codec.Refused, &endBody{uint32(e.Code), e.Text, e.Detail})
}

// AppendBye appends the BYE that ends a session, or with a code below 100 only the
// link. It carries the code, text and detail of e.
func AppendBye(dst []byte, e *CloseError) []byte {
	return appendControl(dst, codec.Bye, &endBody{uint32(e.Code), e.Text, e.Detail})
}

// ParseEnd reads a REFUSED or a BYE.
func ParseEnd(p codec.Packet) (*CloseError, error) {
	var b endBody
	if err := decodeControl(p, &b); err != nil {
		return nil, err
	}
	return &CloseError{Code: Code(b.Code), Text: b.Text, Detail: b.Detail, Remote: true}, nil
}

// appendDetach appends the DETACH of a client whose app goes to the background.
func appendDetach(dst []byte) []byte { return appendControl(dst, codec.Detach, &emptyBody{}) }
