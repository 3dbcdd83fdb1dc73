// SPDX-License-Identifier: MIT

package admin

import (
	"embed"
	"io/fs"
	"net/http"
)

// inspector/static is the inspector as browsers get it; inspector.js and
// inspector.css in it are built from inspector/src by npm run pages in
// framework/client/js, and CI checks that they are.
//
//go:embed inspector/static
var inspectorFiles embed.FS

// serveInspector returns the page that shows what the admin handler tells. The
// page itself knows nothing, so that it stands outside the guard: it asks its
// reader for the token, which a browser could not send for a page.
func serveInspector() http.Handler {
	static, err := fs.Sub(inspectorFiles, "inspector/static")
	if err != nil {
		panic(err) // static is embedded
	}
	files := http.StripPrefix("/debug/", http.FileServerFS(static))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		policy := "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
		if r.URL.Path == "/debug/playground.html" {
			policy += "; connect-src 'self' ws: wss:" // its client plays on another port, or by a proxy
		}
		h.Set("Content-Security-Policy", policy)
		files.ServeHTTP(w, r)
	})
}
