// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// TestProbesAreServed: what orchestrators ask is there, beside the page. A server that has not
// begun to drain, and is alone, is ready and alive.
func TestProbesAreServed(t *testing.T) {
	srv, err := newServer(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(pagesOf(srv, false))
	defer site.Close()
	for _, path := range []string{"/healthz", "/livez"} {
		if err := probe(site.URL + path); err != nil {
			t.Error(err)
		}
	}
	if err := probe(site.URL + "/no-such-page"); err == nil {
		t.Error("a page that is not there is taken for a good answer")
	}
}

// TestSlowConnectionsEnd: who sends half a request, or reads no answer, does not keep the probes out.
func TestSlowConnectionsEnd(t *testing.T) {
	srv, err := newServer(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]string{
		"reads nothing": strings.Repeat("GET /room.js HTTP/1.1\r\nHost: x\r\n\r\n", 1000),
		"half a body":   "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(pagesOf(srv, false))
			site.ReadTimeout, site.WriteTimeout = site.ReadTimeout/20, site.WriteTimeout/20
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go new(settings).serve(site, listener) // ends with site.Close
			defer site.Close()
			for range 64 {
				c, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.WriteString(c, request); err != nil {
					t.Fatal(err)
				}
			}
			asker := http.Client{Timeout: 10 * time.Second}
			res, err := asker.Get("http://" + listener.Addr().String() + "/livez")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		})
	}
}
