// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/lifeline-go/lifeline/bench/server"
)

const protocol = "bench" // what both ends of TLS agree to speak

// quicGo serves one stream a connection, each with a goroutine, as its example
// echo does.
func quicGo(o *server.Options) (netip.AddrPort, func(), error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, public, private)
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	l, err := quic.ListenAddr(o.AnyPort(), &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, NextProtos: []string{protocol},
	}, nil)
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	go func() { // ends with the listener
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				if s, err := c.AcceptStream(context.Background()); err == nil {
					o.Echo(s)
				}
			}()
		}
	}()
	return l.Addr().(*net.UDPAddr).AddrPort(), func() { _ = l.Close() }, nil
}

// quicPlayer is a connection with its one stream and its own socket.
type quicPlayer struct {
	*quic.Stream
	conn   *quic.Conn
	socket net.PacketConn
}

// Close implements io.Closer.
func (p quicPlayer) Close() error {
	_ = p.conn.CloseWithError(0, "")
	return p.socket.Close()
}

func dialQUIC(ctx context.Context, from netip.Addr, to netip.AddrPort) (io.ReadWriteCloser, error) {
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	if err != nil {
		return nil, err
	}
	// What the server costs is asked, not who it is.
	c, err := quic.Dial(ctx, socket, net.UDPAddrFromAddrPort(to), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}, nil)
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	p := quicPlayer{conn: c, socket: socket}
	if p.Stream, err = c.OpenStreamSync(ctx); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}
