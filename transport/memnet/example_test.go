// SPDX-License-Identifier: MIT

package memnet_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// echo sends every packet back.
type echo struct{}

func (echo) OnLoop(*transport.Loop)                    {}
func (echo) OnOpen(*transport.Link, [16]byte)          {}
func (echo) OnWritable(*transport.Link)                {}
func (echo) OnClose(*transport.Link, error)            {}
func (echo) OnTimer(*transport.Loop)                   {}
func (echo) OnMigrate(*transport.Link, netip.AddrPort) {}
func (echo) OnBatch(*transport.Loop)                   {}
func (echo) OnPacket(k *transport.Link, p codec.Packet, _ transport.Arrival) {
	k.Write(codec.AppendFrame(nil, p.Header, p.Body))
}

// A server and a client on a network in memory, whose way takes 20 ms. In a test,
// testing/synctest makes that no time at all.
func Example() {
	network := memnet.New(1, memnet.Conditions{Delay: 20 * time.Millisecond})
	t, err := transport.Start(transport.Config{TCP: "10.0.0.1:7777", Network: network}, echo{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Stop(context.Background())

	c, err := network.DialTCP(context.Background(), t.Addr(transport.TCP))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	c.Write(codec.AppendFrame(nil, codec.Header{Kind: codec.Message}, []byte("hello")))
	b := make([]byte, 100)
	n, _ := c.Read(b)
	p, _, _ := codec.ParseFrame(b[:n], codec.DefaultMaxBody)
	fmt.Printf("%s at %v, which is one of %d links\n", p.Body, t.Addr(transport.TCP), network.Links())
	// Output: hello at 10.0.0.1:7777, which is one of 1 links
}
