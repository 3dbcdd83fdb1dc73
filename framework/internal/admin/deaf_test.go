// SPDX-License-Identifier: MIT

package admin

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDeafConnectionsEnd: a client that asks and reads no answer keeps no other out.
func TestDeafConnectionsEnd(t *testing.T) {
	srv, err := Listen("127.0.0.1:0", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	healthy := func() error { return nil }
	srv.Serve(Handler("a token of the operator", http.NewServeMux(), Probes{healthy, healthy}, func(*http.Request, string) {}))
	for range maxConns {
		c, err := net.Dial("tcp", srv.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, strings.Repeat("GET /debug/inspector.js HTTP/1.1\r\nHost: x\r\n\r\n", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	asker := http.Client{Timeout: 4 * patience}
	res, err := asker.Get("http://" + srv.Addr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
