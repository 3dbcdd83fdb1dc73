// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// dialer is what the carriers need to open a connection. It knows no client, and of a
// session no more than it is handed. Immutable, but for what guards itself.
type dialer struct {
	cfg       *Config
	serverKey seal.PublicKey
	clock     *clock
	random    *entropy
	names     names
}

// resumption opens a sealed link for a session without public keys, where ok.
type resumption struct {
	id  session.ID
	key session.Key
	ok  bool
}

// stream opens a stream to one of the addresses of a name.
func (d *dialer) stream(ctx context.Context, network, hostport string) (net.Conn, error) {
	if d.cfg.Dial != nil {
		return d.cfg.Dial(ctx, network, hostport)
	}
	return dialPlaces(ctx, &d.names, network, hostport, func(ctx context.Context, a netip.AddrPort, _ bool) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, a.String())
	}, func(nc net.Conn) { _ = nc.Close() })
}

// entropy is where unguessable bits come from: Config.Rand, read by one goroutine at a
// time, or crypto/rand.
type entropy struct {
	mu   sync.Mutex
	from io.Reader // nil: crypto/rand
}

// Read implements io.Reader.
func (e *entropy) Read(b []byte) (int, error) {
	if e.from == nil {
		return rand.Read(b)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.from.Read(b)
}

// number returns 64 bits. A source that fails is no reason to be guessable.
func (e *entropy) number() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(e, b[:]); err != nil {
		_, _ = rand.Read(b[:]) // never fails
	}
	return binary.LittleEndian.Uint64(b[:])
}
