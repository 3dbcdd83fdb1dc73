// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	kcpgo "github.com/xtaci/kcp-go/v5"
)

type echo struct{}

func (echo) OnLoop(l *Loop) {}
func (echo) OnOpen(k *Link) { k.Write(codec.AppendFrame(nil, codec.Header{}, nil)) }
func (echo) OnPacket(k *Link, p codec.Packet) {
	k.Prove()
	k.Write(codec.AppendFrame(nil, p.Header, p.Body))
}
func (echo) OnWritable(k *Link)         {}
func (echo) OnClose(k *Link, err error) {}
func (echo) OnTimer(l *Loop)            {}
func (echo) OnBatch(l *Loop)            {}

func TestSmoke(t *testing.T) {
	tr, err := Start(Config{PlainKCP: "127.0.0.1:0", TCP: "127.0.0.1:0", Loops: 2}, echo{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Stop(context.Background())
	t.Log(tr.Addr(TCP), tr.Addr(PlainKCP))
	c, err := net.Dial("tcp", tr.Addr(TCP).String())
	if err != nil {
		t.Fatal(err)
	}
	try(t, c)
	u, err := kcpgo.DialWithOptions(tr.Addr(PlainKCP).String(), nil, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	u.SetNoDelay(1, 10, 2, 1)
	try(t, u)
	t.Logf("%+v", tr.Stats())
}

func try(t *testing.T, c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	hb := codec.AppendFrame(nil, codec.Header{}, nil)
	c.Write(hb)
	got := make([]byte, 18)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 100, 5000, codec.DefaultMaxBody} {
		f := codec.AppendFrame(nil, codec.Header{Kind: codec.Message}, make([]byte, n))
		go c.Write(f)
		got := make([]byte, len(f))
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(n, err)
		}
		if string(got) != string(f) {
			t.Fatal("differs")
		}
	}
}
