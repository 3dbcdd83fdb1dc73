// SPDX-License-Identifier: MIT

package gametest

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

// Node is one server of the game. The goroutine of the test owns it.
type Node struct {
	// Server is the game's, as it was made last. The first node's is Game.Server.
	Server *framework.Server

	g       *Game
	cfg     framework.Config
	host    netip.Addr
	boot    uint64
	now     *process // that runs; nil after Kill
	drained chan struct{}
}

// process is a server while it runs.
type process struct {
	srv  *framework.Server
	line *line // to the others of its cluster; nil without one
}

// Nodes returns the servers in the order in which they were added. The first one is that of
// the Game itself.
func (g *Game) Nodes() []*Node { return slices.Clone(g.nodes) }

// AddNode starts another server of the game, at an address of its own. With Options.Servers it
// is another one of the cluster. Else players connect to the first one, and
// framework.Player.Move takes them to Node.Address if there is an Options.Store.
func (g *Game) AddNode() *Node {
	g.T.Helper()
	i := len(g.nodes) + 1
	n := &Node{g: g, host: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}
	host := n.host.String()
	n.cfg = framework.Config{
		PlainKCP: host + ":7777", TCP: host + ":7778", WebSocket: host + ":7779", KCP: host + ":7780",
		Loops: 1, Network: g.net, Node: uint16(i), Secret: g.secret, Store: g.opts.Store, KeyFile: g.keyFile,
		Address: "tcp://" + host + ":7778", Logger: g.opts.Logger.With("node", i),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	}
	if g.opts.Servers > 0 {
		n.cfg.Address = strings.Join([]string{"kcp://" + n.cfg.KCP, "plain-kcp://" + n.cfg.PlainKCP, "tcp://" + n.cfg.TCP, "ws://" + n.cfg.WebSocket}, " ")
	}
	g.nodes = append(g.nodes, n)
	n.run()
	return n
}

// run starts the node's server.
func (n *Node) run() {
	n.g.T.Helper()
	n.boot++
	stream := uint64(n.cfg.Node)<<32 + n.boot
	n.cfg.Rand = newChance(n.g.opts.Seed, stream)
	at := &process{}
	if n.g.opts.Servers > 0 {
		at.line = newLine(&n.g.bus, n.cfg.Node)
		cfg := cluster.Config{Bus: at.line, Rand: newChance(n.g.opts.Seed, stream|1<<63).number}
		if n.g.opts.Cluster != nil {
			n.g.opts.Cluster(&cfg)
		}
		cfg.Node = n.cfg.Node
		c, err := cluster.New(cfg)
		if err != nil {
			n.g.T.Fatalf("gametest: %v", err)
		}
		n.cfg.Cluster = c
	}
	srv, err := n.g.new(n.cfg)
	if err != nil {
		n.g.T.Fatalf("gametest: the server was not made: %v", err)
	}
	if err := srv.Start(); err != nil {
		n.g.T.Fatalf("gametest: the server does not start: %v", err)
	}
	at.srv = srv
	n.Server, n.now = srv, at
}

// stop shuts the node's server down, if it runs.
func (n *Node) stop() {
	n.g.T.Helper()
	if n.drained != nil {
		<-n.drained
	} else if n.now != nil {
		n.now.stop(n.g)
	}
	n.now, n.drained = nil, nil
}

func (p *process) stop(g *Game) {
	g.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := p.srv.Shutdown(ctx); err != nil {
		g.T.Errorf("gametest: shutdown: %v", err)
	}
}

// Number is that of the node: 1 is the first one's.
func (n *Node) Number() int { return int(n.cfg.Node) }

// Address is what clients dial to reach the node: for framework.Player.Move, and
// Config.Drain.
func (n *Node) Address() string { return n.cfg.Address }

// Running reports whether the node's server is neither killed nor drained.
func (n *Node) Running() bool {
	if n.drained != nil {
		select {
		case <-n.drained:
			n.now, n.drained = nil, nil
		default:
		}
	}
	return n.now != nil
}

// Restart shuts the node's server down and starts another one in its place, or only the
// latter if it was killed or drained. With a cluster or an Options.Store the sessions of its
// players go on, and else they log in anew. In a cluster the place of a server that was
// killed is free when the others have declared it dead, after 20 s at most: until then
// Restart waits.
func (n *Node) Restart() {
	n.g.T.Helper()
	n.stop()
	n.run()
}

// Drain begins to shut the node's server down, as a deployment does, and returns at once: its
// players go to the others in the time of Config.Drain. See Running, and Restart.
func (n *Node) Drain() {
	n.g.T.Helper()
	n.mustRun("drain")
	if n.drained != nil {
		return
	}
	at, done := n.now, make(chan struct{})
	n.drained = done
	go func() { // ends with the shutdown
		defer close(done)
		at.stop(n.g)
	}()
}

// Kill ends the node's server as a crash does. No hook is called and nothing is sent: links
// break, rooms and handlers stand still where they are, and the other servers know no more
// than that it is silent. (Goroutines that the game has started itself do go on. At the end of
// the test the hooks of what was killed are called.) It needs Options.Servers.
func (n *Node) Kill() {
	n.g.T.Helper()
	n.mustRun("kill")
	at := n.clustered("kill")
	at.line.kill()
	n.g.net.Kill(n.host)
	n.g.killed = append(n.g.killed, at)
	n.now, n.drained = nil, nil
}

// Partition cuts the node's server off from others: they don't hear each other any more.
// Without others it is cut off from all, and from the directory of the cluster. Its players
// still reach it. It needs Options.Servers.
func (n *Node) Partition(others ...*Node) {
	n.g.T.Helper()
	n.mustRun("partition")
	at := n.clustered("partition")
	if len(others) == 0 {
		at.line.cut()
	}
	for _, o := range others {
		at.line.part(o.cfg.Node)
		if o.now != nil {
			o.now.line.part(n.cfg.Node)
		}
	}
}

// Heal ends what Partition has done to the node's server. A server that the others have
// declared dead meanwhile ends its sessions, and is to be restarted.
func (n *Node) Heal() {
	if n.now == nil || n.now.line == nil {
		return
	}
	for _, o := range n.g.nodes {
		if o.now != nil {
			o.now.line.join(n.cfg.Node)
		}
	}
	n.now.line.heal()
}

// mustRun fails the test if the node's server does not run.
func (n *Node) mustRun(to string) {
	n.g.T.Helper()
	if !n.Running() {
		n.g.T.Fatalf("gametest: at %v: %s node %d: it does not run", n.g.Now(), to, n.Number())
	}
}

// clustered returns the node's process, and fails the test if it is of no cluster.
func (n *Node) clustered(to string) *process {
	n.g.T.Helper()
	if n.now.line == nil {
		n.g.T.Fatalf("gametest: %s needs Options.Servers", to)
	}
	return n.now
}
