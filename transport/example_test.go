// SPDX-License-Identifier: MIT

package transport_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport"
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
func (echo) OnPacket(k *transport.Link, p codec.Packet, a transport.Arrival) {
	k.ValidateAddress() // a real server asks the peer to echo a nonce first
	k.Write(codec.AppendFrame(nil, p.Header, p.Body))
}

func Example() {
	t, err := transport.Start(transport.Config{TCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0"}, echo{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Stop(context.Background())

	c, err := net.Dial("tcp", t.Addr(transport.TCP).String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	c.Write(codec.AppendFrame(nil, codec.Header{Kind: codec.Message}, []byte("hello")))
	b := make([]byte, 100)
	n, _ := c.Read(b)
	p, _, _ := codec.ParseFrame(b[:n], codec.DefaultMaxBody)
	fmt.Printf("%v %s\n", p.Kind, p.Body)
	// Output: MESSAGE hello
}
