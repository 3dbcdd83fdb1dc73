// SPDX-License-Identifier: MIT

package transport

import (
	"iter"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// carrierSpec is how a carrier is served.
type carrierSpec struct {
	field   string               // of Config, which has the address
	address func(*Config) string // empty: not served
	whole   bool                 // datagrams are sent whole, or lost

	// prepare, if not nil, is called once, before the loops are made.
	prepare func(*shared) error
	// serve gives a loop what makes the links of the carrier, if that is on streams, or
	// else what takes its datagrams.
	stream bool
	serve  func(*Loop) error
}

// carrierTable has a line for each carrier, and nothing else names them all.
var carrierTable = [carriers]carrierSpec{
	PlainKCP:  {field: "PlainKCP", address: func(c *Config) string { return c.PlainKCP }, serve: servePlain},
	KCP:       {field: "KCP", address: func(c *Config) string { return c.KCP }, whole: true, prepare: (*shared).readKeys, serve: serveSealed},
	TCP:       {field: "TCP", address: func(c *Config) string { return c.TCP }, stream: true, serve: serveTCP},
	WebSocket: {field: "WebSocket", address: func(c *Config) string { return c.WebSocket }, prepare: (*shared).readTLS, stream: true, serve: serveWS},
	SealedTCP: {field: "SealedTCP", address: func(c *Config) string { return c.SealedTCP }, prepare: (*shared).readKeys, stream: true, serve: serveSTCP},
}

// served are the carriers that c has an address for.
func served(c *Config) iter.Seq2[Carrier, *carrierSpec] {
	return func(yield func(Carrier, *carrierSpec) bool) {
		for i := Carrier(1); i < carriers; i++ {
			if spec := &carrierTable[i]; spec.address(c) != "" && !yield(i, spec) {
				return
			}
		}
	}
}

// listeners are what is to be listened on. The number of a listener is its carrier.
func listeners(c *Config) []backend.Listener {
	list := make([]backend.Listener, carriers)
	for i, spec := range served(c) {
		list[i] = backend.Listener{Name: i.String(), Address: spec.address(c), Stream: spec.stream, Whole: spec.whole}
	}
	return list
}

// serve makes the carriers of all loops.
func serve(s *shared) error {
	for _, spec := range served(&s.cfg) {
		if spec.prepare != nil {
			if err := spec.prepare(s); err != nil {
				return err
			}
		}
		for _, l := range s.loops {
			if err := spec.serve(l); err != nil {
				return err
			}
		}
	}
	return nil
}
