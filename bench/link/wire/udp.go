// SPDX-License-Identifier: MIT

package wire

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/lifeline-go/lifeline/bench/link/path"
)

// UDP forwards datagrams between clients and one server.
type UDP struct {
	server   netip.AddrPort
	socket   *net.UDPConn
	up, down *line
	running  sync.WaitGroup

	mu      sync.Mutex
	clients map[netip.AddrPort]*net.UDPConn // guarded by mu: towards the server
	closed  bool                            // guarded by mu
}

// maxClients bounds who is served at once: each has a socket.
const maxClients = 10_000

// ListenUDP serves clients at listen as if it were the server. Both directions
// are alike, with lotteries of their own.
func ListenUDP(listen, server netip.AddrPort, cfg path.Config) (*UDP, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	s, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(listen))
	if err != nil {
		return nil, err
	}
	u := &UDP{server: server, socket: s, clients: map[netip.AddrPort]*net.UDPConn{}}
	u.up = newLine(cfg)
	cfg.Seed++
	u.down = newLine(cfg)
	u.running.Add(3)
	go func() { defer u.running.Done(); u.up.run() }()   // until Close
	go func() { defer u.running.Done(); u.down.run() }() // until Close
	go u.accept()                                        // until the socket is closed
	return u, nil
}

// Addr is where clients are served.
func (u *UDP) Addr() netip.AddrPort { return u.socket.LocalAddr().(*net.UDPAddr).AddrPort() }

func (u *UDP) accept() {
	defer u.running.Done()
	b := make([]byte, 64<<10)
	for {
		n, from, err := u.socket.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // it concerns one datagram
		}
		if c := u.client(from); c != nil {
			u.up.send(b[:n], func(b []byte) { _, _ = c.Write(b) })
		}
	}
}

// client returns the socket of a client, a new one for a new one.
func (u *UDP) client(from netip.AddrPort) *net.UDPConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.clients[from]
	if c != nil || u.closed || len(u.clients) >= maxClients {
		return c
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.server))
	if err != nil {
		return nil
	}
	u.clients[from] = c
	u.running.Add(1)
	go u.back(c, from) // until Close
	return c
}

func (u *UDP) back(c *net.UDPConn, to netip.AddrPort) {
	defer u.running.Done()
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // nobody listens there yet
		}
		u.down.send(b[:n], func(b []byte) { _, _ = u.socket.WriteToUDPAddrPort(b, to) })
	}
}

// Close ends it; what is on its way is lost.
func (u *UDP) Close() error {
	u.mu.Lock()
	u.closed = true
	for _, c := range u.clients {
		_ = c.Close()
	}
	u.mu.Unlock()
	err := u.socket.Close()
	u.up.close()
	u.down.close()
	u.running.Wait()
	return err
}
