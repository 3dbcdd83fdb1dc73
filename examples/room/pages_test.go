// SPDX-License-Identifier: MIT

package main

import (
	"net/http/httptest"
	"testing"

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
