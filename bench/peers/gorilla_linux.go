// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/gorilla/websocket"

	"github.com/lifeline-go/lifeline/bench/server"
)

// gorillaWS is a WebSocket server as its example echo has it: net/http, and a
// goroutine a connection.
func gorillaWS(o *server.Options) (netip.AddrPort, func(), error) {
	l, err := net.Listen("tcp4", o.AnyPort())
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	var upgrader websocket.Upgrader
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, b, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, b) != nil {
				return
			}
		}
	})}
	go s.Serve(l) // ends when it is closed
	return l.Addr().(*net.TCPAddr).AddrPort(), func() { _ = s.Close() }, nil
}
