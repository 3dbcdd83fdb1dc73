// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/transport"
)

// meant refuses durations below a millisecond, where the unit was forgotten.
func meant(field string, d time.Duration) error {
	if d > 0 && d < time.Millisecond {
		return fmt.Errorf("framework: %s is %v: does it lack its unit, as in %d * time.Second?", field, d, d)
	}
	return nil
}

// maxPlaces bounds the text that sends a client elsewhere: session/SPEC 8.9.
const maxPlaces = 256

// checkPlaces refuses what clients can't dial: URLs with blanks between. An
// empty text is nowhere in particular.
func checkPlaces(field, text string) error {
	if len(text) > maxPlaces {
		return fmt.Errorf("framework: %s has %d bytes, more than the %d that clients are told", field, len(text), maxPlaces)
	}
	for place := range strings.FieldsSeq(text) {
		u, err := url.Parse(place)
		if err != nil || u.Hostname() == "" || !dialable(u) {
			var forms []string
			for _, c := range transport.Carriers() {
				if c != WebSocket {
					forms = append(forms, c.String()+"://host:port")
				}
			}
			return fmt.Errorf("framework: %s %q: clients can't dial %q: want %s, ws://host/path or wss://host/path", field, text, place, strings.Join(forms, ", "))
		}
	}
	return nil
}

// dialable reports whether an address has the scheme of a carrier, and a port where
// there is no default.
func dialable(u *url.URL) bool {
	if u.Scheme == "wss" || u.Scheme == WebSocket.String() {
		return true
	}
	return u.Port() != "" && slices.ContainsFunc(transport.Carriers(), func(c Carrier) bool { return c.String() == u.Scheme })
}
