// SPDX-License-Identifier: MIT

package transport

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
)

// listener is a field of a Config that is listened on.
type listener struct{ field, address string }

// checkListeners refuses addresses that can't be listened on, and two listeners
// of one kind on one port: the kernel would spread what comes over both, since
// loops share ports, and each would refuse the other's half.
func (c *Config) checkListeners() error {
	list := []listener{{"KCP", c.KCP}, {"PlainKCP", c.PlainKCP}, {"TCP", c.TCP}, {"WebSocket", c.WebSocket}}
	for _, l := range list {
		if err := CheckListener(l.field, l.address); err != nil {
			return err
		}
	}
	return cmp.Or(collision(list[0], list[1]), collision(list[2], list[3]))
}

// checkBound does it again once the names of hosts are addresses.
func (t *Transport) checkBound() error {
	at := func(field string, c Carrier) listener {
		if !t.addrs[c].IsValid() {
			return listener{field, ""}
		}
		return listener{field, t.addrs[c].String()}
	}
	return cmp.Or(collision(at("KCP", KCP), at("PlainKCP", PlainKCP)), collision(at("TCP", TCP), at("WebSocket", WebSocket)))
}

func collision(a, b listener) error {
	if !Collide(a.address, b.address) {
		return nil
	}
	return fmt.Errorf("transport: Config.%s %q and Config.%s %q are one port, which they can't share", a.field, a.address, b.field, b.address)
}

// CheckListener names the field if its address is not one to listen on. An
// empty one is none.
func CheckListener(field, address string) error {
	if address == "" {
		return nil
	}
	if _, _, err := splitListener(address); err != nil {
		return fmt.Errorf("transport: Config.%s %q is no address to listen on, as \":7777\" or \"127.0.0.1:7777\": %w", field, address, err)
	}
	return nil
}

// Collide reports whether two listeners of one kind, TCP or UDP both, would have
// a port in common. Port 0 is another one each time.
func Collide(a, b string) bool {
	hostA, portA, errA := splitListener(a)
	hostB, portB, errB := splitListener(b)
	if errA != nil || errB != nil || portA != portB || portA == 0 {
		return false
	}
	if hostA == hostB || isWildcard(hostA) || isWildcard(hostB) {
		return true
	}
	return hostA == "localhost" && isLoopback(hostB) || hostB == "localhost" && isLoopback(hostA)
}

// splitListener returns the host in one way of writing, and the port.
func splitListener(address string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if port, err = net.LookupPort("tcp", service); err != nil {
		return "", 0, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return host, port, nil
}

func isWildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
