// SPDX-License-Identifier: MIT

package framework_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// tlsPair returns what a server named "example.com" and its clients need.
func tlsPair() (server, client *tls.Config) {
	s := httptest.NewTLSServer(nil) // whose certificate is good for long
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: pool, ServerName: "example.com"}
}

// TestPlayerOnWSS: numbered messages both ways, large ones among them, and cuts: all of
// them come, once and in order.
func TestPlayerOnWSS(t *testing.T) {
	serverTLS, clientTLS := tlsPair()
	var reached, echoed []uint64
	type numbered struct {
		N   uint64
		Pad []byte
	}
	setup := func(s *framework.Server) {
		framework.OnMessage(s, "say", func(p *framework.Player, m numbered) {
			reached = append(reached, m.N)
			_ = p.Push("echo", m)
		}).Max(64 << 10)
	}
	var sent uint64
	cfg := framework.Config{Loops: 2, TLS: serverTLS, Session: session.Config{Interval: 2 * time.Second, Timeout: 8 * time.Second}}
	simulate(t, 1, memnet.Conditions{Delay: 20 * time.Millisecond}, cfg, setup, func(e *env) {
		c, err := client.New([]string{"wss://" + e.srv.Addr(transport.WebSocket).String() + "/"}, e.dialers(client.Config{TLS: clientTLS}))
		if err != nil {
			e.t.Fatal(err)
		}
		e.clients = append(e.clients, c)
		var came atomic.Int64
		client.OnMessage(c, "echo", func(m numbered) {
			echoed = append(echoed, m.N)
			came.Add(1)
		})
		e.connect(c)
		for cut := range 5 {
			for i := range 20 {
				sent++
				m := numbered{N: sent}
				if i%10 == 5 {
					m.Pad = make([]byte, 40<<10)
				}
				if err := c.Send("say", m); err != nil {
					e.t.Fatal(err)
				}
				time.Sleep(time.Duration(cut) * time.Millisecond)
			}
			c.Cut()
			time.Sleep(time.Second)
		}
		e.within(time.Minute, "everything has come back", func() bool { return came.Load() == int64(sent) })
		if s := c.Stats(); s.Opens != 1 || s.Resumes != 5 || s.Resets != 0 || s.Carrier != "ws" {
			e.t.Errorf("%+v", s)
		}
	})
	wholeFrom(t, "reached the server", reached, 1, int(sent))
	wholeFrom(t, "echoes", echoed, 1, int(sent))
}
