// SPDX-License-Identifier: MIT

// Package page is what a browser sees of the room example. static/ is embedded,
// so that the server needs nothing but itself; room.js in it is built from src/
// by npm run pages in framework/client/js, and CI checks that it is.
package page

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
)

//go:embed static
var files embed.FS

// Config is what the page has to know.
type Config struct {
	WebSocketPort uint16 `json:"port"` // on the host that the page came from
	Room          string `json:"room"` // key of the arena to join
	Demo          bool   `json:"demo"` // plays by itself
}

// Handler serves the page, and its Config as config.json.
func Handler(cfg Config) http.Handler {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // static is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(static))
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(cfg) // the browser may have gone
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'none'")
		mux.ServeHTTP(w, r)
	})
}
