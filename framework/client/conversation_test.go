// SPDX-License-Identifier: MIT

package client

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// TestConversations writes down a whole conversation on TCP and on sealed KCP,
// byte by byte, and holds testdata/conversation-*.txt against it. Both ends are the
// real ones: session, kcp and seal with a clock and random bits of the test's.
func TestConversations(t *testing.T) {
	for name, play := range map[string]func(*talk){"tcp": playTCP, "kcp": playSealed} {
		t.Run(name, func(t *testing.T) {
			k := newTalk(t)
			play(k)
			file := "testdata/conversation-" + name + ".txt"
			want, err := os.ReadFile(file)
			if *update {
				err = os.WriteFile(file, k.out.Bytes(), 0o644)
				want = k.out.Bytes()
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want, k.out.Bytes()) {
				t.Errorf("%s is not what the two ends say; when that is meant, run go test ./framework/client -run TestConversations -update\n%s", file, k.out.Bytes())
			}
		})
	}
}

// counting is a source of bytes that anybody can repeat: from, from+1, ...
type counting byte

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(*c)
		*c++
	}
	return len(b), nil
}

var (
	talkWall   = time.Unix(1_700_000_000, 0)
	talkSid    = session.ID{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f}
	talkRoutes = []string{"burst", "echo", "room.join", "room.leave"}
)

// talk is a client, a server and what they said.
type talk struct {
	t      *testing.T
	out    bytes.Buffer
	now    time.Duration
	c      *session.Client
	s      session.Session
	shard  session.Shard
	epoch  uint32 // of the link in use, 0 before it carries the session
	nonce  session.Nonce
	secret session.Secret
	seal   session.Key
	lost   int // of the server's frames, how many the next delivery loses from its end
	line   *sealedLine
}

func newTalk(t *testing.T) *talk {
	k := &talk{t: t}
	cfg, err := session.Config{}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	k.shard = session.Shard{Config: &cfg, Rand: func() uint32 { return 0x5eed }}
	from := counting(0)
	_, _ = from.Read(k.secret[:])
	k.c, err = session.NewClient(session.ClientConfig{
		Ticket: func() ([]byte, bool) { return []byte("ann"), true }, Info: "example 1.0", Rand: func() uint64 { return 0x1122334455667788 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *talk) say(format string, args ...any) { fmt.Fprintf(&k.out, format+"\n", args...) }

// note is a line between packets.
func (k *talk) note(text string) { k.say("\n# %s", text) }

// bytes prints b in lines of 24, each behind indent, and what b is behind the first.
func (k *talk) bytes(indent string, b []byte, what string) {
	for i := 0; i < len(b); i += 24 {
		line := indent + fmt.Sprintf("% x", b[i:min(i+24, len(b))])
		if i == 0 && what != "" {
			line = fmt.Sprintf("%-*s  %s", len(indent)+32, line, what)
		}
		k.say("%s", line)
	}
}

// frame prints one frame in its parts.
func (k *talk) frame(indent, who string, p codec.Packet) {
	flags := ""
	for i, name := range []string{" ECHO WANTED", " ECHO", " HOLD"} {
		if p.Flags&(1<<i) != 0 {
			flags += name
		}
	}
	k.say("%s%s %s%s", indent, who, p.Kind, flags)
	b := codec.AppendFrame(nil, p.Header, p.Body)
	n := len(b) - 8 - len(p.Body)
	in := indent + "    "
	k.bytes(in, b[:n], fmt.Sprintf("length of the body: %d", len(p.Body)))
	counted := ""
	if p.Kind.Counted() {
		counted = ", counted"
	}
	k.bytes(in, b[n:n+8], fmt.Sprintf("kind %d%s, flags %d, seq %d, ack %d", p.Kind, counted, p.Flags, p.Seq, p.Ack))
	if len(p.Body) > 0 {
		k.bytes(in, p.Body, "")
		k.say("%s= %s", in, talkJSON(k.t, p.Body))
	}
}

func talkJSON(t *testing.T, body []byte) string {
	var v any
	if err := codec.DecodeBody(body, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(talkPrintable(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func talkPrintable(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = talkPrintable(v[i])
		}
		return list
	case []byte:
		return "0x" + hex.EncodeToString(v)
	}
	return v
}

func (k *talk) packets(b []byte) (list []codec.Packet) {
	for len(b) > 0 {
		p, n, err := codec.ParseFrame(b, codec.DefaultMaxBody)
		if err != nil || n == 0 {
			k.t.Fatalf("%x: %v", b, err)
		}
		list, b = append(list, p), b[n:]
	}
	return list
}

// --- both ends

// dial opens a link for a client that wants one.
func (k *talk) dial() {
	if a := k.c.Check(k.now, k.wall()); a != session.Dial {
		k.t.Fatalf("it wants %v", a)
	}
	k.epoch = 0
	k.c.LinkUp(k.now, k.wall(), false)
}

func (k *talk) wall() time.Time { return talkWall.Add(k.now) }

// client lets the client say what is due.
func (k *talk) client() {
	k.c.Check(k.now, k.wall())
	if k.line != nil {
		if b := k.c.OutputDatagram(nil, k.now); len(b) > 0 {
			k.line.send(&k.line.client, b, nil)
		}
	}
	if b := k.c.Output(nil, k.now, 1<<20); len(b) > 0 {
		k.toServer(b)
	}
}

func (k *talk) toServer(b []byte) {
	if k.line != nil {
		k.line.send(&k.line.client, nil, b)
		return
	}
	for _, p := range k.packets(b) {
		k.frame("", "C>", p)
		k.atServer(p, false)
	}
	k.server()
}

func (k *talk) toClient(b []byte) {
	if len(b) == 0 {
		return
	}
	if k.line != nil {
		k.line.send(&k.line.server, nil, b)
		return
	}
	list := k.packets(b)
	for i, p := range list {
		k.frame("", "S>", p)
		if i < len(list)-k.lost {
			k.atClient(p, false)
		}
	}
	k.lost = 0
	k.client()
}

func (k *talk) atClient(p codec.Packet, datagram bool) {
	take := k.c.Receive
	if datagram {
		take = k.c.ReceiveDatagram
	}
	if _, err := take(p, k.now); err != nil && k.c.State() != session.Ended {
		k.t.Fatal(err)
	}
}

// atServer is what a server does with a packet.
func (k *talk) atServer(p codec.Packet, datagram bool) {
	switch {
	case p.Kind == codec.Hello:
		h, err := session.ParseHello(p)
		if err != nil || h.Nonce != k.nonce {
			k.t.Fatalf("HELLO: %v", err)
		}
		k.s.Open(&k.shard, talkSid, k.now)
		k.epoch = k.s.Epoch()
		k.toClient(k.s.AppendWelcome(nil, k.secret.Keys().Of(talkSid), k.seal, talkRoutes))
	case p.Kind == codec.Resume:
		r, err := session.ParseResume(p)
		if err != nil || !k.secret.Keys().Verify(r, k.nonce) {
			k.t.Fatalf("RESUME: %v", err)
		}
		answer, _, refusal := k.s.Resume(nil, r, k.now)
		if refusal != nil {
			k.t.Fatal(refusal)
		}
		k.epoch = k.s.Epoch()
		k.toClient(answer)
	case k.epoch > 0:
		take := k.s.Receive
		if datagram {
			take = k.s.ReceiveDatagram
		}
		ev, err := take(k.epoch, p, k.now)
		if err != nil {
			k.t.Fatal(err)
		}
		switch ev {
		case session.Deliver:
			k.handle(p)
		case session.PeerBye:
			k.toClient(session.AppendBye(nil, &session.CloseError{Code: session.Left}))
		}
	}
}

// handle is the game: it echoes, and answers a burst behind so many pushes.
func (k *talk) handle(p codec.Packet) {
	id, r, payload, err := codec.ParseRequest(p.Body)
	if err != nil {
		return
	}
	send := func(kind codec.Kind, body []byte) {
		if err := k.s.Send(kind, body, false, k.now); err != nil {
			k.t.Fatal(err)
		}
	}
	if string(r.Name()) == "burst" || r.IsNumber() && r.Number() == 0 {
		var n uint64
		var q struct{ N uint64 }
		if err := codec.DecodeBody(payload, &q); err != nil {
			k.t.Fatal(err)
		}
		for n = 1; n <= q.N; n++ {
			tick, _ := codec.AppendBody(nil, [1]uint64{n})
			send(codec.Message, codec.AppendMessage(nil, codec.NamedRoute("tick"), tick))
		}
		payload, _ = codec.AppendBody(nil, q.N)
	}
	send(codec.Response, codec.AppendResponse(nil, id, payload))
}

// server lets the server say what is due.
func (k *talk) server() {
	if k.epoch == 0 {
		return
	}
	if k.line != nil {
		if b := k.s.OutputDatagram(nil, k.epoch, k.now); len(b) > 0 {
			k.line.send(&k.line.server, b, nil)
		}
	}
	k.toClient(k.s.Output(nil, k.epoch, k.now, 1<<20))
}

func (k *talk) request(id uint64, route codec.Route, v any) {
	payload, err := codec.AppendBody(nil, v)
	if err == nil {
		err = k.c.Send(codec.Request, codec.AppendRequest(nil, id, route, payload))
	}
	if err != nil {
		k.t.Fatal(err)
	}
	k.client()
}

func (k *talk) head(title string) {
	k.say("%s", title)
	k.say("# Written by TestConversations of framework/client; the comments are no part of it.")
	k.say("# S> the server says, C> the client says; a value behind = is the body above it.")
	k.say("# The client's random number is 0x1122334455667788, its wall clock begins at")
	k.say("# 1,700,000,000 s; its ticket is \"ann\". The server's secret is %x.", k.secret[:])
}

func playTCP(k *talk) {
	k.head("# A session over two TCP connections, byte by byte.")
	from := counting(0xa0)
	_, _ = from.Read(k.nonce[:])
	k.dial()
	k.note("The first connection. GREETING, HELLO, WELCOME, and a word at once (session/SPEC.md 2, 6.6).")
	k.toClient(session.AppendGreeting(nil, k.nonce))
	k.note("The first ping is due random(0, interval) after WELCOME (5.1).")
	k.now = k.c.Due()
	k.client()
	k.note("A request by the route's name, and its answer.")
	k.request(1, codec.NamedRoute("echo"), "hi")
	k.note("A request by the route's number: 0 is burst. Two pushes come before the answer, and the")
	k.say("# connection breaks behind the first push: of these three the client has one.")
	k.lost = 2
	k.request(2, codec.NumberedRoute(0), [1]uint64{2})
	k.c.LinkDown(k.now)
	k.s.Detach(k.epoch, k.now)
	k.now += 500 * time.Millisecond
	k.note("Another connection. The client has accepted 2 of the server's packets, and says so. What it")
	k.say("# lacks comes again, nothing else does (6.3, 4.1).")
	from = counting(0xc0)
	_, _ = from.Read(k.nonce[:])
	k.dial()
	k.toClient(session.AppendGreeting(nil, k.nonce))
	k.note("The client logs out. The server answers, and closes (8.7, 7.4).")
	k.c.Close()
	k.toServer(k.c.Output(nil, k.now, 0))
}

// --- sealed KCP

// sealedLine is KCP in sealed datagrams between the two.
type sealedLine struct {
	k              *talk
	client, server sealedEnd
	confirm        func(b []byte) (seal.Opened, error) // nil once the server has the link
}

type sealedEnd struct {
	who  string
	conn seal.Conn
	kcp  kcp.Conn
	in   []byte // of the stream, no whole frame yet
}

// send hands frames and bytes of the stream to an end, and its datagrams to the other.
func (l *sealedLine) send(e *sealedEnd, frames, stream []byte) {
	if err := e.kcp.Write(stream); err != nil {
		l.k.t.Fatal(err)
	}
	segments := e.kcp.Output(l.k.now, nil, sealedMTU-len(frames))
	if len(frames)+len(segments) == 0 {
		return
	}
	l.datagram(e, seal.TypeSealed, append(seal.AppendPayload(nil, frames), segments...), func(plain []byte) {
		l.k.bytes("    ", plain[:1], fmt.Sprintf("%d bytes of frames outside of the stream", len(frames)))
		for _, p := range l.k.packets(frames) {
			l.k.frame("    ", e.who, p)
		}
		l.segments(e, segments)
	})
	to, at := &l.server, l.k.atServer
	if e == &l.server {
		to, at = &l.client, l.k.atClient
	}
	for _, p := range l.k.packets(frames) {
		at(p, true)
	}
	if len(segments) > 0 {
		if err := to.kcp.Input(l.k.now, segments); err != nil {
			l.k.t.Fatal(err)
		}
	}
	for b := to.kcp.Peek(); b != nil; b = to.kcp.Peek() {
		to.in = append(to.in, b...)
		to.kcp.Discard(len(b))
	}
	whole := to.in
	to.in = nil
	for _, p := range l.k.packets(whole) {
		at(p, false)
	}
	if to == &l.server {
		l.k.server()
	} else {
		l.k.client()
	}
	l.send(to, nil, nil) // an ACK that found no company
}

// datagram seals, prints and opens one.
func (l *sealedLine) datagram(e *sealedEnd, t seal.PacketType, plain []byte, explain func([]byte)) {
	k := l.k
	b, err := e.conn.Seal(append(make([]byte, seal.HeaderSize), plain...), t)
	if err != nil {
		k.t.Fatal(err)
	}
	k.say("%s datagram of %d bytes", e.who, len(b))
	k.bytes("  ", b[:8], "connection id, packet type, number; then ciphertext and tag")
	k.bytes("  ", b[8:], "")
	k.say("  in clear:")
	explain(plain)
	open := l.client.conn.Open
	switch {
	case e == &l.client && l.confirm != nil:
		open = l.confirm // the first datagram makes the link one at the server
	case e == &l.client:
		open = l.server.conn.Open
	}
	o, err := open(b)
	if err != nil || !bytes.Equal(o.Plain, plain) {
		k.t.Fatalf("%x opens as %x: %v", b, o.Plain, err)
	}
}

// segments prints KCP segments and the frames in them, which here are whole.
func (l *sealedLine) segments(e *sealedEnd, b []byte) {
	for len(b) > 0 {
		n := int(binary.LittleEndian.Uint32(b[20:]))
		cmd := map[byte]string{81: "PUSH", 82: "ACK", 83: "WASK", 84: "WINS"}[b[4]]
		u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
		l.k.bytes("    ", b[:kcp.HeaderSize], "")
		l.k.say("    = KCP %s: conv %d, wnd %d, ts %d, sn %d, una %d, %d bytes", cmd, u32(0), binary.LittleEndian.Uint16(b[6:]), u32(8), u32(12), u32(16), n)
		for _, p := range l.k.packets(b[kcp.HeaderSize : kcp.HeaderSize+n]) {
			l.k.frame("    ", e.who, p)
		}
		b = b[kcp.HeaderSize+n:]
	}
}

type talkIDs struct{ next uint32 }

func (i *talkIDs) Reserve() (uint32, bool) { i.next += 0x100; return i.next, true }
func (i *talkIDs) Free(uint32)             {}

// shake opens a link with hello, and prints the handshake.
func (l *sealedLine) shake(r *seal.Responder, hello *seal.Initiator) {
	k := l.k
	addr := netip.MustParseAddrPort("192.0.2.1:40000")
	h := hello.Hello()
	k.say("C> datagram of %d bytes: all behind these is zero", len(h))
	k.bytes("  ", bytes.TrimRight(h, "\x00"), "")
	answer, err := r.Handle(k.now, addr, h)
	if err != nil || answer == nil {
		k.t.Fatalf("no answer: %v", err)
	}
	answer = bytes.Clone(answer)
	k.say("S> datagram of %d bytes", len(answer))
	k.bytes("  ", answer, "")
	a, _, err := hello.Handle(answer)
	if err != nil {
		k.t.Fatal(err)
	}
	id := a.Conn.ID()
	k.say("  = connection id %d, greeting % x; link nonce %x", id, a.Greeting, a.Nonce)
	l.confirm = func(b []byte) (seal.Opened, error) {
		c, err := r.Confirm(k.now, addr, b)
		l.server.conn, l.confirm = c.Conn, nil
		return c.First, err
	}
	cfg := &kcp.Config{Cut: sealedMTU}
	l.client, l.server = sealedEnd{who: "C>", conn: a.Conn}, sealedEnd{who: "S>"}
	l.client.kcp.Init(id, cfg)
	l.server.kcp.Init(id, cfg)
	k.nonce = a.Nonce
	k.dial()
	k.c.Greeted(a.Greeting[0], a.Nonce, k.now)
	k.client()
}

func playSealed(k *talk) {
	k.head("# A session over two sealed KCP links, byte by byte.")
	random, clients := counting(0x20), counting(0x60)
	key, err := seal.NewKey(&random)
	if err != nil {
		k.t.Fatal(err)
	}
	r, err := seal.NewResponder(seal.Config{Keys: []seal.Key{key}, ResumeSecret: k.secret, Greeting: []byte{session.ProtocolVersion}, IDs: &talkIDs{}, Rand: &random, CookieRate: -1})
	if err != nil {
		k.t.Fatal(err)
	}
	k.say("# The server's private key is the bytes 20 ... 3f, its ephemeral key 40 ... 5f; the client's")
	k.say("# ephemeral key is 60 ... 7f, its nonce in the second handshake 80 ... 8f, the server's there")
	k.say("# 60 ... 6f. Public key: %v", key.Public())
	k.seal = session.Key(r.ResumeKey(talkSid))
	k.line = &sealedLine{k: k}
	k.note("The handshake with public keys (seal/SPEC.md 2.2, 2.5, 3). It says what a GREETING would.")
	hello, err := seal.NewInitiator(key.Public(), &clients)
	if err != nil {
		k.t.Fatal(err)
	}
	k.line.shake(r, hello)
	k.note("The first ping and its echo travel outside of the stream (session/SPEC.md 5.8).")
	k.now = k.c.Due()
	k.client()
	k.note("A request, and its answer.")
	k.request(1, codec.NumberedRoute(1), "hi")
	k.note("The client goes silent here, as after a change of its network that its socket did not")
	k.say("# survive. It comes back with the seal key: no public-key work (seal/SPEC.md 2.4, 2.6, 5.2).")
	k.c.LinkDown(k.now)
	k.now += 500 * time.Millisecond
	id, sealKey, _ := k.c.SealKey()
	again, err := seal.NewResumer(id, sealKey, &clients)
	if err != nil {
		k.t.Fatal(err)
	}
	k.line.shake(r, again)
	k.note("The client logs out, and closes the link: the last datagram six times, 40 ms apart (8.1).")
	k.c.Close()
	k.toServer(k.c.Output(nil, k.now, 0))
	k.line.datagram(&k.line.client, seal.TypeControl, seal.Control{Kind: seal.ControlClose}.Append(nil, 0), func(plain []byte) {
		k.bytes("    ", plain, "CLOSE")
	})
}

// The first lines of CLIENT.md's conversation are those of the file, and the
// scripts that it names exist.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("CLIENT.md")
	if err != nil {
		t.Fatal(err)
	}
	talk, err := os.ReadFile("testdata/conversation-tcp.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, quote, ok := strings.Cut(string(guide), "```text\nS> GREETING\n")
	quote, _, end := strings.Cut(quote, "```")
	if !ok || !end || !strings.Contains(string(talk), "S> GREETING\n"+quote) {
		t.Error("CLIENT.md quotes what testdata/conversation-tcp.txt does not say")
	}
	_, row, _ := strings.Cut(string(guide), "| **L0** |")
	row, _, _ = strings.Cut(row, "\n")
	cells := strings.Split(row, "|")
	for name := range strings.SplitSeq(cells[3], ",") {
		if _, err := os.Stat("../../session/testdata/scripts/" + strings.TrimSpace(name) + ".txt"); err != nil {
			t.Errorf("CLIENT.md: %v", err)
		}
	}
}
