// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// These benchmarks go through a socket of this machine, server and clients in one
// process: for before and after, not for what a server can do. bench measures that.

// crew is n clients of a server on TCP, all connected.
func crew(b *testing.B, srv *framework.Server, n int) []*client.Client {
	b.Helper()
	b.Cleanup(start(srv))
	cs := make([]*client.Client, n)
	for i := range cs {
		cs[i] = player(srv, fmt.Sprint("p", i))
		connect(cs[i])
	}
	return cs
}

// BenchmarkRequest is one request, and its answer, on a worker and inline.
func BenchmarkRequest(b *testing.B) {
	for _, name := range []string{"worker", "inline"} {
		b.Run(name, func(b *testing.B) {
			srv := newServer()
			r := framework.OnRequest(srv, "add", func(_ *framework.Player, n int) (int, error) { return n + 1, nil })
			if name == "inline" {
				r.Inline()
			}
			c := crew(b, srv, 1)[0]
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				var sum int
				if err := c.Request(ctx, "add", 1, &sum); err != nil || sum != 2 {
					b.Fatal(sum, err)
				}
			}
		})
	}
}

// pulse is a room that broadcasts when it is asked to.
type pulse struct{ *framework.Room }

// BenchmarkBroadcast is a broadcast to a hundred members, until all have it.
func BenchmarkBroadcast(b *testing.B) {
	const members = 100
	srv := newServer()
	rooms := framework.AddRoom(srv, "pulse", func(r *framework.Room) *pulse { return &pulse{r} })
	state := make([]byte, 64)
	framework.OnRoomMessage(rooms, "go", func(r *pulse, _ *framework.Player, _ int) { r.Broadcast("state", state) })
	var got atomic.Int32
	all := make(chan struct{}, 1)
	clients := crew(b, srv, members)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range clients {
		client.OnMessage(c, "state", func([]byte) {
			if got.Add(1)%members == 0 {
				all <- struct{}{}
			}
		})
		if err := c.Join(ctx, "pulse", "1"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := clients[0].Send("go", 0); err != nil {
			b.Fatal(err)
		}
		<-all
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/members, "ns/delivery")
}
