// SPDX-License-Identifier: MIT

// Command peers is the process of servers that bench compares lifeline with, and
// of the players of those whose library is the only client there is. What they
// need stays out of the product's go.mod. Bench builds and starts it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
)

func main() {
	err := errors.New("bench starts it, see ../README.md")
	switch {
	case len(os.Args) > 2 && os.Args[1] == "serve":
		err = server.Main(os.Args[2:], map[string]server.Starter{
			"gnet-udp": gnetUDP, "zinx-kcp": zinxKCP, "zinx-tcp": zinxTCP, "quic-go": quicGo, "raknet": rakNet,
			"nano-tcp": nanoTCP, "nano-ws": nanoWS, "gorilla-ws": gorillaWS,
		})
	case len(os.Args) > 2 && os.Args[1] == "play":
		err = load.Main(os.Args[2:], map[string]load.Dial{"quic-go": dialQUIC, "raknet": dialRakNet})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}
