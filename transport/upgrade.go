// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"errors"
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
	errOpeningTimeout = errors.New("transport: opening timeout")
	errEvictedPending = errors.New("transport: too many connections without a link")
	errTooManyLinks   = errors.New("transport: too many links")
	errRequest        = errors.New("transport: not a request for an upgrade")

	errPath        = rejection(http.StatusNotFound, "no such path")
	errOrigin      = rejection(http.StatusForbidden, "origin not allowed")
	errSubprotocol = rejection(http.StatusBadRequest, "no known subprotocol")
)

// rejection makes what gobwas/ws answers a request with.
func rejection(status int, why string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(why))
}

// takePending takes what a new peer says. It reports whether that opened the link.
func (l *Loop) takePending(k *Link, in backend.Inbound) bool {
	if k.tcp.left == 0 || k.tcp.pending.proxy && !l.proxied(k, in) {
		return false
	}
	var answer []byte
	if k.tcp.ws != nil {
		if answer = l.request(k, in); answer == nil {
			return false
		}
	}
	if !l.t.admission.acquire(k.Carrier(), k.addr.Addr(), l.now) {
		if k.tcp.ws != nil {
			l.refuse(k, in, reject(http.StatusServiceUnavailable, "full"))
		} else {
			k.Close(errTooManyLinks)
		}
		return false
	}
	l.removePending(k)
	if answer != nil {
		if k.writeNow(answer); k.state&stateClosed != 0 {
			l.t.admission.release(k.Carrier(), k.addr.Addr(), true)
			return false
		}
	}
	l.opened(k)
	return true
}

// request takes the request for an upgrade. It returns the answer that grants
// it, nil while it is not all here or if it was refused.
func (l *Loop) request(k *Link, in backend.Inbound) []byte {
	n := k.tcp.left
	if n == 0 {
		return nil
	}
	b, err := in.Peek(min(n, maxRequest))
	if err != nil {
		k.Close(err)
		return nil
	}
	if b[0] < 'A' || b[0] > 'Z' { // TLS, frames of another carrier
		l.refused(k, errRequest)
		k.Close(errRequest)
		return nil
	}
	a := k.tcp.pending
	end := bytes.Index(b[a.seen:], []byte("\r\n\r\n"))
	if end < 0 {
		if a.seen = max(len(b)-3, 0); len(b) == maxRequest {
			l.refused(k, errRequest)
			l.refuse(k, in, reject(http.StatusRequestHeaderFieldsTooLarge, "request too large"))
		}
		return nil
	}
	req := b[:a.seen+end+4]
	answer, from, err := l.t.cfg.upgrade(req, k.addr)
	if err != nil {
		l.refused(k, err)
		l.refuse(k, in, answer)
		return nil
	}
	k.take(in, len(req))
	k.addr = from
	return answer
}

// refused counts a request that is none of ours.
func (l *Loop) refused(k *Link, why error) {
	if why == errOrigin {
		l.stats.origins.Add(1)
	} else {
		l.stats.requests.Add(1)
	}
	l.t.log.Debug("transport: no upgrade", slog.String("link", k.addr.String()), slog.Any("error", why))
}

// refuse answers a request and lets the connection go. It stays among the
// pending connections until it is gone, so that it counts as one.
func (l *Loop) refuse(k *Link, in backend.Inbound, answer []byte) {
	k.take(in, k.tcp.left)
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

// upgrade judges a whole request and returns the answer to it, and whose it is.
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
