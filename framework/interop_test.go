// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/xtaci/kcp-go/v5"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
)

// stock is a client that knows nothing of this module but what codec/SPEC.md
// and session/SPEC.md say: a stock KCP session, msgpack and an HMAC. It shows
// how little a client in another language needs.
type stock struct {
	t    *testing.T
	conn *kcp.UDPSession
	buf  []byte

	nonce    []byte
	sid, key []byte
	sent     uint64 // counted packets of ours
	recv     uint64 // counted packets accepted
}

const (
	kindHeartbeat, kindGreeting, kindHello, kindWelcome, kindResume, kindResumed = 0, 1, 2, 3, 4, 5
	kindRequest, kindResponse                                                    = 12, 13
	counted                                                                      = 0x80
	echoWanted, echo                                                             = 1, 2
)

func dialStock(t *testing.T, addr string) *kcp.UDPSession {
	t.Helper()
	conn, err := kcp.DialWithOptions(addr, nil, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetNoDelay(1, 10, 2, 1)
	conn.SetWriteDelay(false)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// write sends one packet: uvarint body length, 8-byte header, body.
func (s *stock) write(kind, flags byte, seq uint16, body ...any) {
	s.t.Helper()
	var b []byte
	if len(body) > 0 {
		var err error
		if b, err = msgpack.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	frame := binary.AppendUvarint(nil, uint64(len(b)))
	frame = append(frame, kind, flags)
	frame = binary.LittleEndian.AppendUint16(frame, seq)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(s.recv))
	if _, err := s.conn.Write(append(frame, b...)); err != nil {
		s.t.Fatal(err)
	}
}

// read returns the next packet that is not a mere heartbeat of the server's,
// unless heartbeats are wanted.
func (s *stock) read(want byte) (flags byte, seq uint16, ack uint32, body []any) {
	s.t.Helper()
	for {
		n, ln := binary.Uvarint(s.buf)
		if ln <= 0 || len(s.buf) < ln+8+int(n) {
			chunk := make([]byte, 2048)
			_ = s.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			got, err := s.conn.Read(chunk)
			if err != nil {
				s.t.Fatalf("waiting for kind %d: %v", want, err)
			}
			s.buf = append(s.buf, chunk[:got]...)
			continue
		}
		p := s.buf[ln : ln+8+int(n)]
		s.buf = s.buf[ln+8+int(n):]
		kind := p[0]
		if kind&counted != 0 {
			s.recv++
			if uint16(s.recv) != binary.LittleEndian.Uint16(p[2:]) {
				s.t.Fatalf("packet %d has sequence %d", s.recv, binary.LittleEndian.Uint16(p[2:]))
			}
		}
		if kind&^counted != want {
			continue
		}
		if n > 0 {
			if err := msgpack.Unmarshal(p[8:], &body); err != nil {
				s.t.Fatal(err)
			}
		}
		return p[1], binary.LittleEndian.Uint16(p[2:]), binary.LittleEndian.Uint32(p[4:]), body
	}
}

// knock opens the link: on plain KCP the client's first frame is a heartbeat,
// and the server answers with GREETING{version, nonce}.
func (s *stock) knock() {
	s.buf = nil
	s.write(kindHeartbeat, 0, 0)
	_, _, _, greeting := s.read(kindGreeting)
	s.nonce = greeting[1].([]byte)
}

func (s *stock) request(route string, payload any) any {
	s.t.Helper()
	s.sent++
	s.write(kindRequest|counted, 0, uint16(s.sent), s.sent, route, payload)
	_, _, _, answer := s.read(kindResponse)
	return answer[1]
}

func TestStockKCPClientNeedsOnlyTheSpecs(t *testing.T) {
	srv, err := framework.New(framework.Config{PlainKCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	framework.OnRaw(srv, "echo", func(_ *framework.Player, payload, dst []byte) ([]byte, error) {
		return append(dst, payload...), nil
	}).Inline()
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // this client acknowledges nothing any more
		_ = srv.Shutdown(ctx)
	}()
	addr := srv.Addr(transport.PlainKCP).String()

	// Open a session: HELLO{version, nonce, opening id, ticket, info, routes,
	// attempt} -> WELCOME{sid, key, ...}.
	s := &stock{t: t, conn: dialStock(t, addr)}
	s.knock()
	opening := make([]byte, 16)
	_, _ = io.ReadFull(rand.Reader, opening)
	s.write(kindHello, 0, 0, 1, s.nonce, opening, []byte("ann"), "stock", nil, 1)
	_, _, _, welcome := s.read(kindWelcome)
	s.sid, s.key = welcome[0].([]byte), welcome[1].([]byte)

	// Heartbeat: 8 bytes of header and nothing else, echoed with its id.
	s.write(kindHeartbeat, echoWanted, 0xbeef)
	for {
		if flags, id, _, _ := s.read(kindHeartbeat); flags&echo != 0 {
			if id != 0xbeef {
				t.Fatalf("echo of ping %x", id)
			}
			break
		}
	}

	// Use it.
	if got := s.request("echo", "hello"); got != "hello" {
		t.Fatalf("echo: %v", got)
	}

	// The cable is pulled with a request on its way: nobody is told anything.
	s.sent++
	lost := s.sent
	_ = s.conn.Close()

	// A new link, a new GREETING, and RESUME{sid, attempt, recv, lowest, proof}.
	s.conn = dialStock(t, addr)
	s.knock()
	attempt, lowest := uint64(time.Now().UnixMicro()), lost
	s.write(kindResume, 0, 0, s.sid, attempt, s.recv, lowest, s.proof(attempt, lowest))
	_, _, _, resumed := s.read(kindResumed)
	if got := resumed[1]; !equalUint(got, lost-1) {
		t.Fatalf("the server has accepted %v packets, want %d", got, lost-1)
	}

	// What it has not accepted is sent again under its old number.
	s.write(kindRequest|counted, 0, uint16(lost), lost, "echo", "again")
	if _, _, _, answer := s.read(kindResponse); answer[1] != "again" {
		t.Fatalf("the answer after the resume: %v", answer)
	}
	if got := s.request("echo", "and on"); got != "and on" {
		t.Fatalf("echo: %v", got)
	}
	if st := srv.Stats(); st.Opened != 1 || st.Resumed != 1 {
		t.Errorf("%d sessions, %d resumes", st.Opened, st.Resumed)
	}
}

// proof is session/SPEC.md 6.2.
func (s *stock) proof(attempt, lowest uint64) []byte {
	var b bytes.Buffer
	b.WriteString("lifeline/resume/1")
	b.Write(s.sid)
	_ = binary.Write(&b, binary.LittleEndian, attempt)
	b.WriteByte(1) // recv is known
	_ = binary.Write(&b, binary.LittleEndian, s.recv)
	_ = binary.Write(&b, binary.LittleEndian, lowest)
	b.Write(s.nonce)
	m := hmac.New(sha256.New, s.key)
	m.Write(b.Bytes())
	return m.Sum(nil)
}

func equalUint(v any, want uint64) bool {
	switch n := v.(type) {
	case int8:
		return uint64(n) == want
	case uint8:
		return uint64(n) == want
	case uint64:
		return n == want
	}
	return false
}
