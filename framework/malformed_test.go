// SPDX-License-Identifier: MIT

package framework_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestOneBadMessageEndsNothing: session/SPEC 4.11. What can be answered is, the
// rest is counted, and the log has a line for all of it, not for each.
func TestOneBadMessageEndsNothing(t *testing.T) {
	var log logtest.Lines
	taken := 0
	simulate(t, 1, memnet.Conditions{}, framework.Config{Logger: log.Logger()}, func(s *framework.Server) {
		framework.OnRequest(s, "add", func(_ *framework.Player, q struct {
			A int
			S string
		}) (int, error) {
			return q.A, nil
		})
		framework.OnMessage(s, "say", func(*framework.Player, string) { taken++ })
	}, func(e *env) {
		r, nonce := e.raw()
		r.hello(nonce, strings.Repeat("ann", 1000), 1)
		r.read(codec.Welcome, new(codec.Raw))
		counted := func(kind codec.Kind, body []byte) {
			r.seq++
			r.write(codec.Header{Kind: kind, Seq: r.seq}, body)
		}
		answer := func(id uint64, code codec.ErrorCode, text string) {
			t.Helper()
			for {
				kind, body, err := r.next()
				if err != nil {
					t.Fatal(err)
				}
				if codec.Kind(kind&0x7f) != codec.Failure {
					continue
				}
				got, c, said, err := codec.ParseFailure(body)
				if err != nil || got != id || c != code || string(said) != text {
					t.Errorf("answer to %d: %d %q %v, want %d to %d", got, c, said, err, code, id)
				}
				return
			}
		}
		const bad = 50
		for range bad {
			counted(codec.Message, []byte{0xc0})                                                    // no array
			counted(codec.Message, []byte{0x92, 0xc4, 0x01, 'x', 0xc0})                             // bin is no route
			counted(codec.Response, []byte{0x91, 0x01})                                             // nobody asked
			r.write(codec.Header{Kind: codec.Datagram}, []byte{0x92, 0xa1, 'x', 0xc0})              // a name
			counted(codec.Request, []byte{0xc0})                                                    // no id
			counted(codec.Message, codec.AppendMessage(nil, codec.NamedRoute("say"), []byte{0x07})) // no string
		}
		counted(codec.Request, []byte{0x93, 0x05, 0xc4, 0x01, 'x', 0xc0})
		answer(5, codec.ErrorBadRequest, "malformed envelope")
		counted(codec.Request, codec.AppendRequest(nil, 6, codec.NamedRoute("add"), []byte{0x92, 0x01, 0x07}))
		answer(6, codec.ErrorBadRequest, "payload does not fit: field 2: not a string (type byte 0x07)")
		counted(codec.Request, codec.AppendRequest(nil, 7, codec.NamedRoute("room.join"), []byte{0xa1, 'x'}))
		answer(7, codec.ErrorBadRequest, "payload does not fit: not an array (type byte 0xa1)")
		counted(codec.Message, codec.AppendMessage(nil, codec.NamedRoute("say"), []byte{0xa1, 'x'}))
		time.Sleep(time.Second)
		st := e.srv.Stats()
		if st.Sessions != 1 || taken != 1 {
			t.Errorf("%d sessions, %d taken", st.Sessions, taken)
		}
		if st.ProtocolErrors != 5*bad+1 {
			t.Errorf("%d protocol errors, want %d", st.ProtocolErrors, 5*bad+1)
		}
		if n := strings.Count(log.String(), "user="); n > 2 || len(log.String()) > 1500 {
			t.Errorf("%d lines, %d bytes: %s", n, len(log.String()), log.String())
		}
		for range 7 {
			time.Sleep(10 * time.Second)
			r.write(codec.Header{Kind: codec.Heartbeat, Ack: 3}, nil)
		}
		counted(codec.Message, []byte{0xc0})
		time.Sleep(time.Second)
		if log.Count("times=301 ") != 1 { // 300 of the loop but the first, one request, and this one
			t.Errorf("how many there were is not said: %s", log.String())
		}
		_ = r.conn.Close()
	})
}
