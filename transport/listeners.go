// SPDX-License-Identifier: MIT

package transport

import (
	"fmt"
	"net"
	"net/netip"
)

// checkListeners refuses addresses that can't be listened on, and two listeners
// of one kind on one port: the kernel would spread what comes over both, since
// loops share ports, and each would refuse the other's half.
func (c *Config) checkListeners() error {
	for _, spec := range carrierTable[1:] {
		if err := CheckListener(spec.field, spec.address(c)); err != nil {
			return err
		}
	}
	return collisions(func(i Carrier) string { return carrierTable[i].address(c) })
}

// checkBound does it again once the names of hosts are addresses.
func (t *Transport) checkBound() error {
	return collisions(func(i Carrier) string {
		if !t.addrs[i].IsValid() {
			return ""
		}
		return t.addrs[i].String()
	})
}

// collisions compares the addresses of all carriers, two by two.
func collisions(address func(Carrier) string) error {
	for i := Carrier(1); i < carriers; i++ {
		for j := Carrier(1); j < carriers; j++ {
			a, b := &carrierTable[i], &carrierTable[j]
			if a.field < b.field && a.stream == b.stream && Collide(address(i), address(j)) {
				return fmt.Errorf("transport: Config.%s %q and Config.%s %q are one port, which they can't share", a.field, address(i), b.field, address(j))
			}
		}
	}
	return nil
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
