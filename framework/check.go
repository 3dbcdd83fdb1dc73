// SPDX-License-Identifier: MIT

package framework

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/admin"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// check names the first field of a filled Config that can't be meant. What goes
// wrong here would else go wrong at the first player.
func (c *Config) check() error {
	switch {
	case c.Workers < 0 || c.Workers > maxWorkers:
		return fmt.Errorf("framework: Workers %d is outside 0 ... %d", c.Workers, maxWorkers)
	case c.BufferBytes < 4*int64(c.Session.SendBytes):
		return fmt.Errorf("framework: BufferBytes %d is less than what four players may have waiting, 4 x SendBytes %d", c.BufferBytes, c.Session.SendBytes)
	case c.MaxSessions < 0 || c.MaxSessions > maxSessions:
		return fmt.Errorf("framework: MaxSessions %d is outside 0 ... %d", c.MaxSessions, maxSessions)
	case c.AuthConcurrency < 0 || c.AuthConcurrency > maxWorkers:
		return fmt.Errorf("framework: AuthConcurrency %d is outside 0 ... %d", c.AuthConcurrency, maxWorkers)
	case c.AuthTimeout < 0:
		return fmt.Errorf("framework: AuthTimeout %v is negative", c.AuthTimeout)
	case c.Drain.Window < 0:
		return fmt.Errorf("framework: Drain.Window %v is negative", c.Drain.Window)
	case c.Duplicate > DuplicateAdopt:
		return fmt.Errorf("framework: Duplicate %d is no policy", c.Duplicate)
	case c.Store != nil && c.Secret == (session.Secret{}):
		return errors.New("framework: servers that share a Store must share a Secret")
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"AuthTimeout", c.AuthTimeout}, {"Drain.Window", c.Drain.Window}, {"Drain.Wait", c.Drain.Wait}} {
		if err := meant(d.field, d.value); err != nil {
			return err
		}
	}
	if _, err := parseVersion(c.MinVersion); c.MinVersion != "" && err != nil {
		return fmt.Errorf("framework: MinVersion: %w", err)
	}
	for _, t := range []struct{ field, text string }{{"UpdateURL", c.UpdateURL}, {"Drain.Text", c.Drain.Text}} {
		if len(t.text) > maxPlaces {
			return fmt.Errorf("framework: %s has %d bytes, more than the %d that clients are told", t.field, len(t.text), maxPlaces)
		}
	}
	if err := c.checkAddresses(); err != nil {
		return err
	}
	carriers := c.transport()
	return carriers.Check()
}

const (
	maxWorkers  = 1 << 20 // goroutines
	maxSessions = 1 << 30
)

// meant refuses durations below a millisecond, where the unit was forgotten.
func meant(field string, d time.Duration) error {
	if d > 0 && d < time.Millisecond {
		return fmt.Errorf("framework: %s is %v: does it lack its unit, as in %d * time.Second?", field, d, d)
	}
	return nil
}

// checkAddresses checks every address that the server listens on or sends clients to.
func (c *Config) checkAddresses() error {
	if err := transport.CheckListener("Admin", c.Admin); err != nil {
		return err
	}
	for _, o := range []struct{ field, address string }{{"TCP", c.TCP}, {"SealedTCP", c.SealedTCP}, {"WebSocket", c.WebSocket}} {
		if transport.Collide(c.Admin, o.address) {
			return fmt.Errorf("framework: Config.Admin %q and Config.%s %q are one port, which they can't share", c.Admin, o.field, o.address)
		}
	}
	if host, _, _ := net.SplitHostPort(c.Admin); c.Admin != "" && c.AdminToken == "" && !admin.Loopback(host) {
		return fmt.Errorf("framework: Admin %q is no loopback address and needs an AdminToken", c.Admin)
	}
	if err := checkPlaces("Drain.Address", c.Drain.Address); err != nil {
		return err
	}
	if err := checkPlaces("Address", c.Address); err != nil {
		return err
	}
	for node, address := range c.Peers {
		if err := checkPlaces(fmt.Sprintf("Peers[%d]", node), address); err != nil {
			return err
		}
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
