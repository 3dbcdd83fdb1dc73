// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
)

// What a server costs that has nothing to do: alone, and one of a cluster, with a NATS
// server in its process.

func (o *options) clusterNodeFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 1000, "players that come to the first server, and do nothing but heartbeats")
	fs.DurationVar(&o.duration, "duration", 10*time.Second, "length of a window")
	fs.DurationVar(&o.settle, "settle", 3*time.Second, "pause before it")
	o.carrierDefault(fs, "tcp")
}

// standing is what a server costs without work.
type standing struct {
	Shape      string  `json:"shape"`
	Server     int     `json:"server"`
	Players    int     `json:"players"`
	RSS        int64   `json:"rss_bytes"`
	RSSGC      int64   `json:"rss_bytes_after_gc"`
	Heap       uint64  `json:"heap_bytes_after_gc"`
	Goroutines int     `json:"goroutines"`
	CPU        float64 `json:"cpu_percent"` // of one core
}

// standings is the report of cluster node.
type standings struct {
	Course  string     `json:"course"`
	Carrier string     `json:"carrier"`
	Seconds float64    `json:"seconds_per_window"`
	Nodes   []standing `json:"nodes"`
	Machine machine    `json:"machine"`
}

// clusterNode measures servers of three shapes.
func clusterNode(o *options) error {
	if err := o.share(); err != nil {
		return err
	}
	r := standings{Course: "node", Carrier: o.Config.Carrier, Seconds: o.duration.Seconds(), Machine: o.machine()}
	for _, s := range []struct {
		name, bus string
		n         int
	}{{"alone", "", 1}, {"one of one", "nats", 1}, {"one of three", "nats", 3}} {
		rows, err := o.stand(s.name, s.bus, s.n)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.Nodes = append(r.Nodes, rows...)
	}
	if o.json {
		return writeJSON(o.out, r)
	}
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "server\tits players\tRSS\tafter GC\theap\tgoroutines\tCPU, % of a core")
	for _, n := range r.Nodes {
		fmt.Fprintf(w, "%s, %d\t%d\t%.1f MB\t%.1f MB\t%.1f MB\t%d\t%.2f\n", n.Shape, n.Server, n.Players,
			float64(n.RSS)/1e6, float64(n.RSSGC)/1e6, float64(n.Heap)/1e6, n.Goroutines, n.CPU)
	}
	return w.Flush()
}

// stand starts n servers, and measures them without players, and then with players at the
// first one.
func (o *options) stand(shape, bus string, n int) (rows []standing, err error) {
	g := &group{o: o, servers: make([]*server.Process, n)}
	defer func() { err = errors.Join(err, g.close()) }()
	if g.folder, err = os.MkdirTemp("", "lifeline-bench-"); err != nil {
		return nil, err
	}
	if err := g.startTogether(bus); err != nil {
		return nil, err
	}
	if rows, err = g.atRest(shape, 0, time.Sleep); err != nil {
		return nil, err
	}
	lc := o.Config
	lc.Server, lc.Key, lc.Users = g.servers[0].First().Addr, g.servers[0].First().Key, true
	if g.fleet, err = load.New(lc, func(err error) { fmt.Fprintln(o.log, "bench:", err) }); err != nil {
		return nil, err
	}
	if err := g.fleet.Open(o.ramp); err != nil {
		return nil, err
	}
	with, err := g.atRest(shape, o.Sessions, g.fleet.Idle)
	if err != nil {
		return nil, err
	}
	if _, errs := g.fleet.Result(); errs.Sum() > 0 {
		fmt.Fprintf(o.log, "bench: %s: %+v\n", shape, errs)
	}
	return append(rows, with...), nil
}

// startTogether starts all servers at once: one of three alone waits for the others.
func (g *group) startTogether(bus string) error {
	n := len(g.servers)
	ports, err := g.o.freePorts(2 * n)
	if err != nil {
		return err
	}
	so := g.o.Options
	so.Kind, so.Carrier, so.Core, so.Links, so.Users, so.Cluster = "lifeline", g.o.Config.Carrier, -1, 2*g.o.Sessions, true, bus
	so.KeyFile = filepath.Join(g.folder, "key")
	for i := range n {
		if n > 1 {
			so.Peers = append(so.Peers, ports[n+i].String())
		}
	}
	failed := make(chan error, n)
	for i := range n {
		so.Listen = ports[i].String()
		if n > 1 {
			so.Peer, so.Dir, so.Node = so.Peers[i], filepath.Join(g.folder, fmt.Sprint(i)), uint16(i+1)
		}
		go func(so server.Options) { // ends when the server serves, or does not
			var err error
			g.servers[i], err = server.Start(so)
			failed <- err
		}(so)
		if i == 0 && n > 1 && g.o.sealed() {
			time.Sleep(200 * time.Millisecond) // the first one makes the key file
		}
	}
	for range n {
		err = errors.Join(err, <-failed)
	}
	return err
}

// sealed reports that clients know the servers by a key.
func (o *options) sealed() bool { return o.Config.Carrier == "kcp" || o.Config.Carrier == "stcp" }

// atRest measures all servers while wait lets time pass.
func (g *group) atRest(shape string, players int, wait func(time.Duration)) (rows []standing, err error) {
	wait(g.o.settle)
	before := make([]time.Duration, len(g.servers))
	for i, p := range g.servers {
		if before[i], err = p.CPU(); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	wait(g.o.duration)
	for i, p := range g.servers {
		cpu, err := p.CPU()
		if err != nil {
			return nil, err
		}
		row := standing{Shape: shape, Server: i + 1, CPU: round(percent(cpu-before[i], time.Since(began)))}
		if i == 0 {
			row.Players = players
		}
		if row.RSS, err = p.RSS(); err != nil {
			return nil, err
		}
		st, err := p.Do("gc")
		if err != nil {
			return nil, err
		}
		row.Heap, row.Goroutines = st.HeapAlloc, st.Goroutines
		if row.RSSGC, err = p.RSS(); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
