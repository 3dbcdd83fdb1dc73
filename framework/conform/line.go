// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// line is what a client did, taken apart: session/SPEC.md 12.
type line struct {
	text   string
	at     time.Duration
	timed  bool
	verb   string // "out", "deliver", "dial", "put off", ...
	packet packet // of out, deliver, undelivered
	rest   string // what follows the verb of the others
}

// packet is one packet, or several that only count on.
type packet struct {
	kind     codec.Kind
	flags    codec.Flags
	from, to int
	ack      uint32
	body     string // JSON, empty: none
}

// carriesPacket are the verbs that a packet follows.
var carriesPacket = map[string]bool{"out": true, "deliver": true, "undelivered": true}

var stamp = regexp.MustCompile(`^([0-9.]+)s (.*)$`)

func parseLine(text string) (line, error) {
	l := line{text: text}
	if m := stamp.FindStringSubmatch(text); m != nil {
		s, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return l, fmt.Errorf("%q: %w", text, err)
		}
		l.at, l.timed, text = time.Duration(s*float64(time.Second)), true, m[2]
	}
	l.verb, l.rest, _ = strings.Cut(text, " ")
	if l.verb == "put" {
		l.verb, l.rest = "put off", strings.TrimPrefix(l.rest, "off ")
	}
	if !carriesPacket[l.verb] {
		return l, nil
	}
	var err error
	l.packet, err = parsePacket(l.rest)
	return l, err
}

var flagNames = []string{"echo-wanted", "echo", "hold"}

// parsePacket reads KIND flags seq=A-B ack=N BODY, flags and numbers in any
// order.
func parsePacket(text string) (packet, error) {
	name, rest, _ := strings.Cut(text, " ")
	kind, err := kindNamed(name)
	p := packet{kind: kind}
	for err == nil && rest != "" && rest[0] != '[' && rest[0] != '{' {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		err = p.word(word)
	}
	p.body = rest
	if err != nil {
		return p, fmt.Errorf("%q: %w", text, err)
	}
	return p, nil
}

func (p *packet) word(word string) error {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "seq":
		a, b, several := strings.Cut(value, "-")
		from, err := strconv.Atoi(a)
		if p.from, p.to = from, from; err == nil && several {
			p.to, err = strconv.Atoi(b)
		}
		return err
	case "ack":
		n, err := strconv.ParseUint(value, 10, 64)
		p.ack = uint32(n)
		return err
	}
	for i, name := range flagNames {
		if word == name {
			p.flags |= 1 << i
			return nil
		}
	}
	return fmt.Errorf("no such word: %q", word)
}

// String writes it as scripts do.
func (p packet) String() string {
	text := p.kind.String()
	for i, name := range flagNames {
		if p.flags&(1<<i) != 0 {
			text += " " + name
		}
	}
	switch {
	case p.from == 0:
	case p.from == p.to:
		text += fmt.Sprintf(" seq=%d", p.from)
	default:
		text += fmt.Sprintf(" seq=%d-%d", p.from, p.to)
	}
	if p.ack != 0 {
		text += fmt.Sprintf(" ack=%d", p.ack)
	}
	if p.body != "" {
		text += " " + p.body
	}
	return text
}

// packetOf takes a packet from the wire.
func packetOf(p codec.Packet) (packet, error) {
	body, err := bodyText(p.Body)
	return packet{kind: p.Kind, flags: p.Flags, from: int(p.Seq), to: int(p.Seq), ack: p.Ack, body: body}, err
}

// packets makes it ready for the wire, one packet for each number.
func (p packet) packets() ([]codec.Packet, error) {
	var list []codec.Packet
	var body []byte
	if p.body != "" {
		var err error
		if body, err = bodyBytes(p.body); err != nil {
			return nil, err
		}
	}
	for seq := p.from; seq <= p.to; seq++ {
		list = append(list, codec.Packet{Header: codec.Header{Kind: p.kind, Flags: p.flags, Seq: uint16(seq), Ack: p.ack}, Body: body})
	}
	return list, nil
}

func kindNamed(name string) (codec.Kind, error) {
	for k := codec.Heartbeat; k <= codec.Datagram; k++ {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("no kind of packet: %q", name)
}

// --- bodies: msgpack as JSON, bytes as "0x...", many zeros as {"zeros": n}

const manyZeros = 33

func bodyText(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	var v any
	if err := codec.DecodeBody(b, &v); err != nil {
		return "", fmt.Errorf("body %x: %w", b, err)
	}
	text, err := json.Marshal(printable(v))
	return string(text), err
}

func printable(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = printable(v[i])
		}
		return list
	case []byte:
		if len(v) >= manyZeros && len(bytes.Trim(v, "\x00")) == 0 {
			return map[string]int{"zeros": len(v)}
		}
		return "0x" + hex.EncodeToString(v)
	}
	return v
}

// mostZeros bounds what a body says it is long.
const mostZeros = 1 << 24

func bodyBytes(text string) ([]byte, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	if err == nil {
		v, err = encodable(v)
	}
	if err != nil {
		return nil, fmt.Errorf("body %s: %w", text, err)
	}
	return codec.AppendBody(nil, v)
}

func encodable(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = encodable(v[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		zeros, _ := v["zeros"].(json.Number)
		n, err := strconv.ParseUint(zeros.String(), 10, 64)
		if err != nil || n > mostZeros {
			return nil, fmt.Errorf("zeros %q are no number up to %d", zeros, mostZeros)
		}
		return make([]byte, n), nil
	case json.Number:
		return strconv.ParseUint(v.String(), 10, 64)
	case string:
		if digits, ok := strings.CutPrefix(v, "0x"); ok {
			if b, err := hex.DecodeString(digits); err == nil {
				return b, nil
			}
		}
	}
	return v, nil
}

// fields are the elements of a body that is an array, each as JSON.
func fields(body string) []string {
	var raw []json.RawMessage
	if json.Unmarshal([]byte(body), &raw) != nil {
		return nil
	}
	list := make([]string, len(raw))
	for i := range raw {
		list[i] = string(raw[i])
	}
	return list
}

// field is the i-th element, empty where there is none.
func field(body string, i int) string {
	if f := fields(body); i < len(f) {
		return f[i]
	}
	return ""
}

// number is the i-th element as a number, 0 where it is none.
func number(body string, i int) uint64 {
	n, _ := strconv.ParseUint(field(body, i), 10, 64)
	return n
}
