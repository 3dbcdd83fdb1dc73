// SPDX-License-Identifier: MIT

package client_test

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// A head that claims a large body costs the client no memory before that comes.
func TestClaimedSizeCostsNothing(t *testing.T) {
	const size = 128 << 20
	head := bytes.Clone(codec.AppendFrame(nil, codec.Header{Kind: codec.Message, Seq: 1}, make([]byte, size))[:100])
	cfg, err := session.Config{MaxBody: size, SendBytes: 1 << 30, RecvBytes: 1 << 30}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	var s session.Session
	s.Open(&session.Shard{Config: &cfg, Rand: func() uint32 { return 1 }}, session.ID{1}, 0)
	here, there := net.Pipe()
	defer there.Close()
	go func() { _, _ = there.Write(session.AppendGreeting(nil, session.Nonce{1})) }()
	c := newClient(t, []string{"tcp://127.0.0.1:1"}, client.Config{
		MaxReceive: size, Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil },
	})
	read := make(chan struct{})
	go func() {
		_, _ = there.Read(make([]byte, 4096)) // HELLO
		_, _ = there.Write(s.AppendWelcome(nil, session.Key{}, session.Key{}, nil))
		go func() { // what else it says
			for b := make([]byte, 4096); ; {
				if _, err := there.Read(b); err != nil {
					return
				}
			}
		}()
		_, _ = there.Write(head)
		_, _ = there.Write(head) // taken: so the first was looked at
		close(read)
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	connect(t, c)
	select {
	case <-read:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not read")
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > size/4 {
		t.Errorf("100 bytes that claim %d cost %d", size, grown)
	}
}
