// SPDX-License-Identifier: MIT

package transport

import "github.com/lifeline-go/lifeline/transport/internal/backend"

// carrierSpec is how a carrier is served.
type carrierSpec struct {
	field   string               // of Config, which has the address
	address func(*Config) string // empty: not served
	whole   bool                 // datagrams are sent whole, or lost

	// prepare, if not nil, is called once, before the loops are made.
	prepare func(*shared) error
	// One of the two makes the carrier on a loop. What streams returns makes a link.
	datagrams func(*Loop) (datagramCarrier, error)
	streams   func(*Loop) (func() streamConn, error)
}

// carrierTable has a line for each carrier, and nothing else names them all.
var carrierTable = [carriers]carrierSpec{
	PlainKCP:  {field: "PlainKCP", address: func(c *Config) string { return c.PlainKCP }, datagrams: newPlainLoop},
	KCP:       {field: "KCP", address: func(c *Config) string { return c.KCP }, whole: true, prepare: (*shared).readKeys, datagrams: newSealedLoop},
	TCP:       {field: "TCP", address: func(c *Config) string { return c.TCP }, streams: tcpLinks},
	WebSocket: {field: "WebSocket", address: func(c *Config) string { return c.WebSocket }, prepare: (*shared).readTLS, streams: wsLinks},
	SealedTCP: {field: "SealedTCP", address: func(c *Config) string { return c.SealedTCP }, prepare: (*shared).readKeys, streams: stcpLinks},
}

// served calls f for each carrier that c has an address for, until it fails.
func served(c *Config, f func(Carrier, *carrierSpec) error) error {
	for i := Carrier(1); i < carriers; i++ {
		if spec := &carrierTable[i]; spec.address(c) != "" {
			if err := f(i, spec); err != nil {
				return err
			}
		}
	}
	return nil
}

// listeners are what is to be listened on. The number of a listener is its carrier.
func listeners(c *Config) []backend.Listener {
	list := make([]backend.Listener, carriers)
	_ = served(c, func(i Carrier, spec *carrierSpec) error {
		list[i] = backend.Listener{Name: i.String(), Address: spec.address(c), Stream: spec.streams != nil, Whole: spec.whole}
		return nil
	})
	return list
}

// serve makes the carriers of all loops.
func serve(s *shared) error {
	return served(&s.cfg, func(c Carrier, spec *carrierSpec) error {
		if spec.prepare != nil {
			if err := spec.prepare(s); err != nil {
				return err
			}
		}
		for _, l := range s.loops {
			if spec.streams != nil {
				make, err := spec.streams(l)
				if err != nil {
					return err
				}
				l.accepts[c] = make
				continue
			}
			d, err := spec.datagrams(l)
			if err != nil {
				return err
			}
			l.datagrams[c], l.kcp[c] = d, d.shared()
		}
		return nil
	})
}
