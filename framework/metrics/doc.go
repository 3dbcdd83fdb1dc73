// SPDX-License-Identifier: MIT

// Package metrics shows what a server does to Prometheus. It is a package of
// its own so that a game that does not use it does not link it, and it keeps
// nothing global: two servers in one process have a registry each.
//
//	srv.AdminPage("GET /metrics", metrics.Handler(srv))
//
// puts them on the admin pages, behind the same guard. A game with a registry
// of its own registers [New] there instead. dashboard.json is a dashboard for
// Grafana on exactly these metrics.
//
// Every counter of framework.Stats and transport.Stats is exported, also those
// that this package has never heard of. Nothing is counted here: a scrape reads
// what is counted anyway, and asks no loop.
package metrics
