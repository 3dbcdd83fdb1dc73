// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Check returns an error that names the first field that makes no sense.
func (c *Config) Check() error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"Loops", c.Loops, maxLoops},
		{"MaxBody", c.MaxBody, maxMaxBody},
		{"MaxLinks", c.MaxLinks, 1 << 30},
		{"MaxPlainLinks", c.MaxPlainLinks, 1 << 30},
		{"SendBuffer", c.SendBuffer, maxSendBuffer},
		{"ReceiveBytes", c.ReceiveBytes, math.MaxInt},
		{"SocketBuffer", c.SocketBuffer, 1 << 30},
	} {
		if f.value < 0 || f.value > f.max {
			return fmt.Errorf("transport: Config.%s is %d, want 0 to %d", f.name, f.value, f.max)
		}
	}
	for _, f := range []struct {
		name  string
		value int
	}{ // if negative, any number
		{"MaxPlainPerAddress", c.MaxPlainPerAddress},
		{"LinksPerAddress", c.LinksPerAddress},
		{"OpensPerAddress", c.OpensPerAddress},
		{"CookieRate", c.CookieRate},
	} {
		if f.value > 1<<30 {
			return fmt.Errorf("transport: Config.%s is %d, want at most %d", f.name, f.value, 1<<30)
		}
	}
	if d := c.OpeningTimeout; d < 0 || d > 0 && d < time.Millisecond {
		return fmt.Errorf("transport: Config.OpeningTimeout is %v, want at least %v", d, time.Millisecond)
	}
	if d := c.CoalesceDelay; d > maxCoalesceDelay || d > 0 && d < time.Microsecond {
		return fmt.Errorf("transport: Config.CoalesceDelay is %v, want %v to %v", d, time.Microsecond, maxCoalesceDelay)
	}
	if err := c.checkListeners(); err != nil {
		return err
	}
	if err := c.checkTLS(); err != nil {
		return err
	}
	if p := c.WebSocketPath; p != "" && (p[0] != '/' || strings.ContainsAny(p, "?# ")) {
		return fmt.Errorf("transport: Config.WebSocketPath is %q, want a path that begins with /, without a query", p)
	}
	for _, o := range c.Origins {
		if o != "*" && o != "null" && !isOrigin(o) {
			return fmt.Errorf("transport: Config.Origins has %q, which no browser sends: want scheme and host alone, as https://game.example, or * for all", o)
		}
	}
	for _, p := range c.TrustedProxies {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("transport: Config.TrustedProxies has %v, which is no prefix of IPv4 or IPv6", p)
		}
	}
	return nil
}

// isOrigin reports whether o looks as browsers write an origin: RFC 6454, 6.2. The port that a
// scheme has by itself is left out by them.
func isOrigin(o string) bool {
	scheme, host, found := strings.Cut(o, "://")
	return found && scheme != "" && !strings.ContainsAny(host, "/*?# ") &&
		!(strings.EqualFold(scheme, "https") && strings.HasSuffix(host, ":443")) && !(strings.EqualFold(scheme, "http") && strings.HasSuffix(host, ":80"))
}

func (c *Config) checkTLS() error {
	switch t := c.TLS; {
	case (c.TLSCertFile == "") != (c.TLSKeyFile == ""):
		return fmt.Errorf("transport: Config.TLSCertFile is %q and Config.TLSKeyFile is %q, want both or none", c.TLSCertFile, c.TLSKeyFile)
	case c.speaksTLS() && c.WebSocket == "":
		return errors.New("transport: Config.TLS is for Config.WebSocket, which is empty: no other carrier uses TLS")
	case t != nil && c.TLSCertFile == "" && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil:
		return errors.New("transport: Config.TLS has no certificate and no hook for one")
	}
	return nil
}
