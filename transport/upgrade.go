// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gobwas/ws"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

const (
	// maxRequest bounds the request for an upgrade, headers and all. Browsers
	// send less than one kilobyte, and their cookies.
	maxRequest = 8 << 10
	// Subprotocol is what a client may ask for, and what it is then given.
	Subprotocol = "lifeline"
)

var (
	errRequest = errors.New("transport: not a request for an upgrade")
	errPlain   = errors.New("transport: a request without TLS")

	errPath        = rejection(http.StatusNotFound, "no such path")
	errOrigin      = rejection(http.StatusForbidden, "origin not allowed")
	errSubprotocol = rejection(http.StatusBadRequest, "no known subprotocol")
)

// originError is why a page is refused.
type originError struct{ origin, host string }

func (e *originError) Error() string {
	return fmt.Sprintf("transport: origin %q at host %q", e.origin, e.host)
}

// rejection makes what gobwas/ws answers a request with.
func rejection(status int, why string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(why))
}

// request takes the request for an upgrade.
func (k *wsLink) request(in backend.Inbound) bool {
	if k.left == 0 {
		return false
	}
	if k.tls == nil && k.loop.t.tls.config != nil {
		if k.startsTLS(in) {
			k.startTLS(in)
		}
		return false
	}
	b, err := in.Peek(min(k.left, maxRequest))
	if err != nil {
		k.Close(err)
		return false
	}
	if b[0] < 'A' || b[0] > 'Z' { // TLS, frames of another carrier
		k.refused(errRequest)
		k.Close(errRequest)
		return false
	}
	a := k.pending
	end := bytes.Index(b[a.seen:], []byte("\r\n\r\n"))
	if end < 0 {
		if a.seen = max(len(b)-3, 0); len(b) == maxRequest {
			k.refused(errRequest)
			k.reject(in, reject(http.StatusRequestHeaderFieldsTooLarge, "request too large"))
		}
		return false
	}
	req := b[:a.seen+end+4]
	answer, from, err := k.loop.t.cfg.upgrade(req, k.addr)
	if err != nil {
		k.refused(err)
		k.reject(in, answer)
		return false
	}
	k.take(in, len(req))
	k.addr, a.answer = from, answer
	return true
}

// grant answers the request.
func (k *wsLink) grant(backend.Inbound) granted { return granted{answer: k.pending.answer} }

// refused counts a request that is none of ours.
func (k *wsLink) refused(why error) {
	l := k.loop
	var page *originError
	if errors.As(why, &page) {
		l.stats.origins.Add(1)
		if n, ok := l.t.pages.due(l.now); ok {
			l.t.log.Warn("transport: a page may not open a WebSocket: Config.Origins", "from", page.origin, "to", page.host, "times", n)
		}
	} else {
		l.stats.requests.Add(1)
	}
	l.t.log.Debug("transport: no upgrade", slog.String("link", k.addr.String()), slog.Any("error", why))
}

// refuse answers a request for which there is no room.
func (k *wsLink) refuse(in backend.Inbound) {
	k.pending.answer = nil
	k.reject(in, reject(http.StatusServiceUnavailable, "full"))
}

// reject answers a request and lets the connection go. It stays among the
// pending connections until it is gone, so that it counts as one.
func (k *wsLink) reject(in backend.Inbound, answer []byte) {
	k.take(in, k.left)
	if k.writeNow(answer); k.state&stateClosed == 0 {
		k.Finish()
	}
}

// reject returns the answer to a request that is not even looked at.
func reject(status int, why string) []byte {
	var b bytes.Buffer
	r := http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Body: io.NopCloser(strings.NewReader(why)), ContentLength: int64(len(why)),
	}
	_ = r.Write(&b)
	return b.Bytes()
}

// upgrade judges a whole request and returns the answer to it, and the player's address.
func (c *Config) upgrade(req []byte, from netip.AddrPort) (answer []byte, _ netip.AddrPort, err error) {
	var out bytes.Buffer
	// A line that ends otherwise would end the request for gobwas/ws and not
	// for a proxy in between, or the other way round.
	if bytes.Count(req, []byte("\n")) != bytes.Count(req, []byte("\r\n")) {
		return reject(http.StatusBadRequest, "bad line ending"), from, errRequest
	}
	var host, origin string
	var hops []string
	var origins, protocols int
	chosen := false
	u := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			path, _, _ := strings.Cut(string(uri), "?")
			if want := c.WebSocketPath; want != "" && path != want {
				return errPath
			}
			return nil
		},
		OnHost: func(b []byte) error { host = string(b); return nil },
		OnHeader: func(key, value []byte) error {
			switch string(key) {
			case "Origin":
				origin = string(value)
				origins++
			case "X-Forwarded-For":
				hops = append(hops, string(value))
			}
			return nil
		},
		ProtocolCustom: func(b []byte) (string, bool) {
			protocols++
			for p := range strings.SplitSeq(string(b), ",") {
				if strings.TrimSpace(p) == Subprotocol {
					chosen = true
					return Subprotocol, true
				}
			}
			return "", true
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			switch {
			case origins > 1 || origins == 1 && !c.allows(origin, host):
				return nil, errOrigin
			case protocols > 0 && !chosen:
				return nil, errSubprotocol
			}
			return nil, nil
		},
	}
	_, err = u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(req), &out})
	if err != nil && out.Len() == 0 {
		return reject(http.StatusBadRequest, "not HTTP"), from, err
	}
	if err == errOrigin {
		err = &originError{origin, host}
	}
	return out.Bytes(), c.forwarded(from, hops), err
}

// allows reports whether pages of an origin may open links on host.
func (c *Config) allows(origin, host string) bool {
	if len(c.Origins) > 0 {
		return slices.ContainsFunc(c.Origins, func(o string) bool { return o == "*" || strings.EqualFold(o, origin) })
	}
	u, err := url.Parse(origin)
	return err == nil && u.Hostname() != "" && strings.EqualFold(u.Hostname(), hostname(host))
}

// hostname cuts the port off a Host header.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
