// SPDX-License-Identifier: MIT

package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// carrier is what carries the frames of a link.
type carrier uint8

const (
	carrierPlainKCP carrier = iota // stock KCP over UDP, no encryption
	carrierTCP
	carrierWS
	carrierKCP  // KCP over UDP, sealed
	carrierSTCP // TCP, sealed
)

var carrierNames = [...]string{"plain-kcp", "tcp", "ws", "kcp", "stcp"}

// sealed reports whether links of the carrier need the server's public key.
func (k carrier) sealed() bool { return k == carrierKCP || k == carrierSTCP }

// datagrams reports whether the carrier goes over UDP, where silence is the
// only refusal.
func (k carrier) datagrams() bool { return k == carrierPlainKCP || k == carrierKCP }

func (k carrier) String() string { return carrierNames[k] }

// address is one way to the server. Immutable.
type address struct {
	carrier  carrier
	hostport string
	url      string // of a WebSocket
}

func (a address) String() string {
	if a.carrier == carrierWS {
		return a.url
	}
	return a.carrier.String() + "://" + a.hostport
}

// scheme is what the address begins with. wss is another one than ws: SPEC 8.9.
func (a address) scheme() string {
	scheme, _, _ := strings.Cut(a.String(), "://")
	return scheme
}

func parseAddresses(addrs []string) ([]address, error) {
	if len(addrs) == 0 {
		return nil, errors.New("client: no address to connect to")
	}
	list := make([]address, 0, len(addrs))
	for _, s := range addrs {
		a, err := parseAddress(s)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// validPort reports whether a port is one that can be dialled, or the name of one.
func validPort(port string) bool {
	n, err := net.LookupPort("tcp", port) // a list of the system, no question to others
	return err == nil && n > 0
}

func parseAddress(s string) (address, error) {
	scheme, hostport, ok := strings.Cut(s, "://")
	if !ok {
		return address{}, fmt.Errorf("client: address %q lacks its carrier, as in tcp://host:port", s)
	}
	if scheme == "ws" || scheme == "wss" {
		u, err := url.ParseRequestURI(s)
		if err != nil || u.Hostname() == "" {
			return address{}, fmt.Errorf("client: address %q is none of a WebSocket", s)
		}
		if u.Port() != "" && !validPort(u.Port()) {
			return address{}, fmt.Errorf("client: address %q: port %q is none of 1 to 65535", s, u.Port())
		}
		return address{carrier: carrierWS, url: s}, nil
	}
	for k, name := range carrierNames {
		if scheme != name {
			continue
		}
		host, port, err := net.SplitHostPort(hostport)
		if err != nil {
			return address{}, fmt.Errorf("client: address %q: %w", s, err)
		}
		if host == "" || port == "" {
			return address{}, fmt.Errorf("client: address %q needs a host and a port", s)
		}
		if !validPort(port) {
			return address{}, fmt.Errorf("client: address %q: port %q is none of 1 to 65535", s, port)
		}
		return address{carrier: carrier(k), hostport: hostport}, nil
	}
	return address{}, fmt.Errorf("client: address %q: carrier %q is none of %s", s, scheme, strings.Join(carrierNames[:], ", "))
}
