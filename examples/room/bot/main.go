// SPDX-License-Identifier: MIT

// Command bot lets bots play in a running room server. They pull their cable
// without a word, come back, and check that every numbered message arrived
// once and in order. The exit status is 1 if one did not.
//
//	go run ./examples/room/bot -addr plain-kcp://127.0.0.1:7777 -n 50 -duration 20s -cut 3s -json
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/lifeline-go/lifeline/examples/room/swarm"
	bots "github.com/lifeline-go/lifeline/framework/client/swarm"
)

func main() {
	var game swarm.Game
	flag.Float64Var(&game.Rate, "rate", 2, "numbered messages a second and bot")
	flag.BoolVar(&game.Own, "own", false, "check one's own messages only: others may miss some while servers stop")
	flag.StringVar(&game.Room, "room", "bots", "key of the room they play in")
	bots.Main(bots.Config{
		Addrs: []string{"plain-kcp://127.0.0.1:7777"}, Bots: 50, Name: fmt.Sprintf("bot%d", os.Getpid()),
		Client: game.Client, Limits: swarm.Limits,
	}, game.Play)
}
