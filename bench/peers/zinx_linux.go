// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/aceld/zinx/zconf"
	"github.com/aceld/zinx/ziface"
	"github.com/aceld/zinx/znet"

	"github.com/lifeline-go/lifeline/bench/server"
)

// echoRouter answers a message by a message of the same number.
type echoRouter struct{ znet.BaseRouter }

// Handle implements ziface.IRouter.
func (*echoRouter) Handle(r ziface.IRequest) {
	_ = r.GetConnection().SendMsg(r.GetMsgID(), r.GetData())
}

// zinxKCP is as its examples/zinx_kcp has it, but without the error correction
// that doubles its cost there, and without its debug log.
func zinxKCP(o *server.Options) (netip.AddrPort, func(), error) { return zinx(o, "kcp") }

func zinxTCP(o *server.Options) (netip.AddrPort, func(), error) { return zinx(o, "tcp") }

func zinx(o *server.Options, mode string) (netip.AddrPort, func(), error) {
	at := netip.MustParseAddrPort(o.OwnPort())
	// It prints a banner, and standard output is bench's.
	out := os.Stdout
	os.Stdout = os.Stderr
	defer func() { os.Stdout = out }()
	s := znet.NewUserConfServer(&zconf.Config{
		Mode: mode, Host: at.Addr().String(), KcpPort: int(at.Port()), TCPPort: int(at.Port()),
		KcpRecvWindow: 128, KcpSendWindow: 128, KcpStreamMode: true, KcpACKNoDelay: false,
		KcpNoDelay: 1, KcpInterval: 10, KcpResend: 2, KcpNc: 1,
		MaxConn: o.Links + 100, LogIsolationLevel: 2,
	})
	s.AddRouter(server.ZinxMessage, &echoRouter{})
	s.Start()
	network := map[string]string{"tcp": "tcp4", "kcp": "udp4"}[mode]
	return at, s.Stop, taken(at, network)
}

// taken waits until somebody answers there: zinx and nano bind their port on a
// goroutine of their own.
func taken(at netip.AddrPort, network string) error {
	for range 500 {
		time.Sleep(10 * time.Millisecond)
		c, err := net.Dial(network, at.String())
		if err != nil {
			continue
		}
		if network == "udp4" {
			// A datagram that nobody takes comes back as the error of the next.
			_, _ = c.Write([]byte{0})
			time.Sleep(10 * time.Millisecond)
			_, err = c.Write([]byte{0})
		}
		_ = c.Close()
		if err == nil {
			return nil
		}
	}
	return errors.New("the server did not bind its port")
}
