// SPDX-License-Identifier: MIT

package framework

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/lifeline-go/lifeline/framework/internal/admin"
	"github.com/lifeline-go/lifeline/framework/internal/limit"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// isNilPointer reports whether an interface that is not nil holds a nil pointer.
func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

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
	case isNilPointer(c.Store):
		return fmt.Errorf("framework: Config.Store is a nil %T: leave it out, or make one", c.Store)
	case c.Store != nil && c.Secret == (session.Secret{}):
		return errors.New("framework: servers that share a Store must share a Secret")
	case isNilPointer(c.Cluster):
		return fmt.Errorf("framework: Config.Cluster is a nil %T: leave it out, or make one", c.Cluster)
	case c.Cluster != nil && c.Secret == (session.Secret{}):
		return errors.New("framework: the servers of a Cluster must share a Secret")
	case c.Cluster != nil && c.KeyFile == "" && (c.KCP != "" || c.SealedTCP != ""):
		return errors.New("framework: the servers of a Cluster must share a KeyFile: clients know them by one key")
	case c.Cluster != nil && c.Store != nil:
		return errors.New("framework: a Cluster keeps the sessions that move: there must be no Store")
	case c.Cluster != nil && c.Session.MaxAge > maxClusterAge:
		return fmt.Errorf("framework: Session.MaxAge is more than %v: the directory of a Cluster forgets older sessions, and their users would have two", maxClusterAge)
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
	// maxClusterAge is less than the 48 h for which a directory keeps an entry that is not
	// written again.
	maxClusterAge = 47 * time.Hour
)

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
	if t := c.AdminToken; strings.TrimSpace(t) != t || strings.ContainsFunc(t, unicode.IsControl) {
		return errors.New("framework: AdminToken has a blank at an end, or a line end, as what was read from a file: no request can bring that")
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

func (c Config) withDefaults() (Config, error) {
	var err error
	c.Session.Reopens = c.Cluster != nil && c.Reopen != nil
	if c.Session, err = c.Session.WithDefaults(); err != nil {
		return c, err
	}
	if c.Rate, err = c.Rate.withDefaults(); err != nil {
		return c, err
	}
	if c.Cluster == nil && c.KCP == "" && c.PlainKCP == "" && c.TCP == "" && c.SealedTCP == "" && c.WebSocket == "" {
		c.PlainKCP, c.TCP = "127.0.0.1:0", "127.0.0.1:0"
	}
	c.AuthTimeout = cmp.Or(c.AuthTimeout, 5*time.Second)
	c.AuthConcurrency = cmp.Or(c.AuthConcurrency, 256)
	c.Workers = cmp.Or(c.Workers, 4096)
	c.MaxSessions = cmp.Or(c.MaxSessions, 1_000_000)
	c.SessionsPerAddress = cmp.Or(c.SessionsPerAddress, 10_000)
	c.SessionsPerUser = cmp.Or(c.SessionsPerUser, 100)
	if c.BufferBytes = cmp.Or(c.BufferBytes, 1<<30); c.BufferBytes < 0 || c.BufferBytes > limit.NoBound {
		c.BufferBytes = limit.NoBound
	}
	c.Drain.Wait = cmp.Or(c.Drain.Wait, 10*time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Rand = cmp.Or(c.Rand, rand.Reader)
	if err := c.check(); err != nil {
		return c, err
	}
	if c.Secret == (session.Secret{}) {
		if _, err := io.ReadFull(c.Rand, c.Secret[:]); err != nil {
			return c, fmt.Errorf("framework: secret: %w", err)
		}
	}
	return c, nil
}
