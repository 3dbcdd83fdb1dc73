// SPDX-License-Identifier: MIT

// Command bot lets bots play in a running room server. They pull their cable
// without a word, come back, and check that every numbered message arrived
// once and in order. The exit status is 1 if one did not.
//
//	go run ./examples/room/bot -addr plain-kcp://127.0.0.1:7777 -n 50 -duration 20s -cut 3s -json
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/examples/room/swarm"
)

func main() {
	addr := flag.String("addr", "plain-kcp://127.0.0.1:7777", "`address` of the server; several, separated by commas, are tried in order")
	n := flag.Int("n", 50, "how many bots")
	duration := flag.Duration("duration", 20*time.Second, "how long they play")
	cut := flag.Duration("cut", 3*time.Second, "how often each pulls its cable; 0: never")
	rebind := flag.Duration("rebind", 0, "how often each changes its UDP source port, on kcp://; 0: never")
	key := flag.String("key", "", "the server's public `key`, for kcp:// and stcp://; the server prints it")
	rate := flag.Float64("rate", 2, "numbered messages a second and bot")
	room := flag.String("room", "bots", "key of the room they play in")
	asJSON := flag.Bool("json", false, "print the result as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	r := swarm.Run(ctx, swarm.Config{
		Addrs: strings.Split(*addr, ","), Players: *n, Duration: *duration, Cut: *cut, Rebind: *rebind, Key: *key, Rate: *rate,
		Name: fmt.Sprintf("bot%d", os.Getpid()), Room: *room,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		fmt.Printf("%d players sent %d numbered messages and received %d: %d lost, %d duplicated, %d reordered\n", r.Players, r.Sent, r.Received, r.Lost, r.Duplicated, r.Reordered)
		fmt.Printf("%d cuts, %d rebinds, %d resumes, %d resets, %d failed; round trip %.2f ms, p99 %.2f ms\n", r.Cuts, r.Rebinds, r.Resumes, r.Resets, r.Failed, r.RTTp50, r.RTTp99)
	}
	if !r.Good() {
		os.Exit(1)
	}
}
