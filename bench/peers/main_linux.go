// SPDX-License-Identifier: MIT

// Command peers is the process of servers that bench compares lifeline with and
// that are no part of its module: what they need stays out of the product's
// go.mod. Bench builds and starts it.
package main

import (
	"fmt"
	"os"

	"github.com/lifeline-go/lifeline/bench/server"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "serve" {
		fmt.Fprintln(os.Stderr, "peers: bench starts it, see ../README.md")
		os.Exit(2)
	}
	err := server.Main(os.Args[2:], map[string]server.Starter{
		"gnet-udp": gnetUDP, "zinx-kcp": zinxKCP, "zinx-tcp": zinxTCP,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}
