// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// forger is a socket whose hellos are seen by somebody who answers each with a
// hundred forged cookies, before the server can.
type forger struct {
	net.PacketConn
	from net.Addr // whom it claims to be, nil: the server
	deaf bool     // the server's own answers are lost

	mu     sync.Mutex
	forged [][]byte
	to     net.Addr
	hellos int
}

func (f *forger) WriteTo(b []byte, to net.Addr) (int, error) {
	f.mu.Lock()
	if len(b) == seal.HelloSize && (seal.PacketType(b[4]) == seal.TypeHello || seal.PacketType(b[4]) == seal.TypeResumeHello) {
		f.hellos++
		f.to = to
		for i := range min(100, 1000-f.hellos) { // no end would be no failure
			c := bytes.Clone(b[:32])
			c[4] = byte(seal.TypeCookie)
			copy(c[8:16], b[32:40])
			c[16], c[17] = byte(f.hellos), byte(i)
			f.forged = append(f.forged, c)
		}
	}
	f.mu.Unlock()
	return f.PacketConn.WriteTo(b, to)
}

func (f *forger) ReadFrom(b []byte) (int, net.Addr, error) {
	f.mu.Lock()
	if len(f.forged) > 0 {
		n, from := copy(b, f.forged[0]), f.from
		f.forged = f.forged[1:]
		if from == nil {
			from = f.to
		}
		f.mu.Unlock()
		return n, from, nil
	}
	f.mu.Unlock()
	for {
		n, from, err := f.PacketConn.ReadFrom(b)
		if err != nil || !f.deaf {
			return n, from, err
		}
	}
}

// Forged cookies make a client neither a cannon nor unable to log in.
func TestForgedCookies(t *testing.T) {
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{}, nil, func(e *env) {
		for _, c := range []struct {
			name string
			f    *forger
			most int // hellos
		}{
			{"from elsewhere", &forger{from: &net.UDPAddr{IP: net.IPv4(10, 66, 0, 1), Port: 1}}, 1},
			{"in the server's name", &forger{}, 3},
			{"and the server is not heard", &forger{deaf: true}, 3 * 6}, // after 0, 0.2, 0.6, 1.4, 3 and 5 s
		} {
			cfg := e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }, MinDelay: time.Hour, MaxDelay: time.Hour})
			f, listen := c.f, cfg.ListenPacket
			cfg.ListenPacket = func() (net.PacketConn, error) {
				pc, err := listen()
				f.PacketConn = pc
				return f, err
			}
			cl, err := client.New([]string{e.addr(transport.KCP)}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			err = cl.Connect(ctx)
			cancel()
			f.mu.Lock()
			if f.hellos > c.most || (err == nil) == f.deaf {
				t.Errorf("%s: %d hellos, %v", c.name, f.hellos, err)
			}
			f.mu.Unlock()
			_ = cl.Close()
			<-cl.Done()
		}
	})
}
