// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// What a page says of servers that are one of many.

func clusterSections(by map[string][]report, steps []step) (all []section) {
	add := func(s section) {
		if len(s.Rows) > 0 {
			all = append(all, s)
		}
	}
	s := section{Title: "Cluster: a server that is one of many", Text: "An echo, and a login, at a server in a cluster of one and at one that is alone, in turn. The NATS server with the directory is in the process of the first."}
	s.Head, s.Rows = rows(slices.Concat(by["cluster"], by["login"]), "messages_per_second", "server_cpu_us_per_message", "p50_us", "p99_us", "allocs_per_message", "server_cpu_us_per_link", "login_p50_ms", "login_p99_ms")
	add(s)
	s = section{Title: "Cluster: messages to users of another server", Text: "Beside messages to users of the same server, in turn: at a rate, and as fast as they arrive. The CPU is that of both servers and of the directory, through which they go."}
	s.Head, s.Rows = rows(by["push"], "messages_per_second", "server_cpu_us_per_message", "sender_cpu_us_per_message", "receiver_cpu_us_per_message", "directory_cpu_us_per_message", "p50_us", "p99_us", "backpressure", "messages_lost")
	add(s)
	add(outageSection(steps))
	add(nodeSection(steps))
	return all
}

// outageSection has a row for each course in which something happens to servers.
func outageSection(steps []step) section {
	s := section{Title: "Cluster: what players go through", Text: "Several servers and their directory, numbered traffic both ways. Silence is the longest time without a message or an answer; before anything happens it is the rhythm of the traffic.",
		Head: []string{"course", "carrier", "players", "a second each way", "lost", "twice", "resets", "logins", "uncertain", "silence p99 ms", "before ms", "away p50 ms", "away p99 ms", "all back ms"}}
	for _, step := range steps {
		var r outage
		if json.Unmarshal(step.Result, &r) != nil || step.Name != "outage" {
			continue
		}
		row := []string{r.Course, r.Carrier}
		for _, v := range []float64{float64(r.Sessions), r.Each, float64(r.Lost), float64(r.Twice), float64(r.Resets), float64(r.Logins), float64(r.Uncertain), r.Silence99, r.Before99, r.Away50, r.Away99, r.BackAfter} {
			row = append(row, chart.Short(v))
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// nodeSection has a row for each server at rest.
func nodeSection(steps []step) section {
	s := section{Title: "Cluster: a server at rest", Text: "Alone, and with a NATS server in its process: one of one, one of three. CPU is of one core.",
		Head: []string{"server", "its players", "RSS MB", "after GC MB", "heap MB", "goroutines", "CPU %"}}
	for _, step := range steps {
		var r standings
		if json.Unmarshal(step.Result, &r) != nil || step.Name != "node" {
			continue
		}
		for _, n := range r.Nodes {
			row := []string{fmt.Sprintf("%s, %d", n.Shape, n.Server)}
			for _, v := range []float64{float64(n.Players), float64(n.RSS) / 1e6, float64(n.RSSGC) / 1e6, float64(n.Heap) / 1e6, float64(n.Goroutines), n.CPU} {
				row = append(row, chart.Short(v))
			}
			s.Rows = append(s.Rows, row)
		}
	}
	return s
}
