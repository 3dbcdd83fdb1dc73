// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

var cellNodes = flag.Int("cluster.cell", 0, "count what a cell of so many nodes asks of its bus")

// TestCell counts what the servers of a cell ask of their bus: at rest, while each is
// restarted in turn, and when one dies. SCALE.md has what it said of larger cells:
//
//	go test ./framework/cluster -run TestCell -cluster.cell 50 -v
func TestCell(t *testing.T) {
	nodes, each := 3, 1
	if *cellNodes > 0 {
		nodes, each = *cellNodes, 2
	}
	play(t, 0, nil, func(s *stack) {
		n := new(traffic)
		s.meter = n
		for i := range nodes {
			s.add(uint16(i + 1))
		}
		time.Sleep(10 * time.Second)
		var players []*client.Client
		logins := n.during(func() {
			for i := range nodes * each {
				players = append(players, s.dial(s.servers[i%nodes], fmt.Sprint("p", i), ""))
			}
		})
		t.Logf("%d nodes, %d logins:  %v", nodes, len(players), logins)
		time.Sleep(10 * time.Second)

		rest := n.during(func() { time.Sleep(time.Minute) })
		t.Logf("%d nodes, at rest:    %v", nodes, rest)
		all := int64(nodes) // each renews its lease every 2 s, and all are told of it
		if rest.writes < 29*all || rest.writes > 31*all || rest.told < 29*all*all || rest.told > 31*all*all || rest.reads+rest.asked+rest.published != 0 {
			t.Errorf("at rest: %v", rest)
		}

		opened := len(s.opened())
		restart := n.during(func() { s.restartAll(nodes) })
		moved := len(s.opened()) - opened
		t.Logf("%d nodes, restarted:  %v; %d sessions moved", nodes, restart, moved)
		if moved < nodes*each || s.logins() != nodes*each {
			t.Errorf("%d sessions moved, with %d logins", moved, s.logins())
		}

		victim := s.servers[0]
		began := time.Now()
		death := n.during(func() {
			victim.line.set(true)
			s.within(time.Minute, "known to all", func() bool { return s.withoutNode(1) })
		})
		known := time.Since(began)
		t.Logf("%d nodes, one is cut off: known to all after %v; %v", nodes, known.Round(time.Millisecond), death)
		if known < 18*time.Second || known > 22*time.Second {
			t.Errorf("a death was known after %v", known)
		}
		for _, c := range players {
			_ = c.Close()
		}
	})
}

// restartAll replaces each server by a new one of the same number.
func (s *stack) restartAll(nodes int) {
	for i := range nodes {
		old := s.servers[0]
		s.servers = s.servers[1:]
		if err := old.Shutdown(context.Background()); err != nil {
			s.t.Errorf("shutdown of node %d: %v", i+1, err)
		}
		s.add(uint16(i + 1))
		time.Sleep(5 * time.Second)
	}
}

// opened returns what OnOpen was called for.
func (s *stack) opened() (list []string) {
	for _, line := range s.hooks() {
		if strings.Contains(line, " opens ") {
			list = append(list, line)
		}
	}
	return list
}

// withoutNode reports whether all other servers know that a node is dead.
func (s *stack) withoutNode(node uint16) bool {
	for _, v := range s.servers {
		for _, m := range v.c.Members() {
			if m.Node == node && v != s.servers[node-1] {
				return false
			}
		}
	}
	return true
}

// traffic is what servers ask of their bus. During a step it counts.
type traffic struct {
	reads, writes, told, asked, published, heard atomic.Int64
}

// spent is traffic of a step.
type spent struct {
	took                                         time.Duration
	reads, writes, told, asked, published, heard int64
}

func (n *traffic) now() spent {
	return spent{0, n.reads.Load(), n.writes.Load(), n.told.Load(), n.asked.Load(), n.published.Load(), n.heard.Load()}
}

func (n *traffic) during(f func()) spent {
	a, began := n.now(), time.Now()
	f()
	b := n.now()
	return spent{time.Since(began), b.reads - a.reads, b.writes - a.writes, b.told - a.told, b.asked - a.asked, b.published - a.published, b.heard - a.heard}
}

func (s spent) String() string {
	return fmt.Sprintf("%.0f s, %d reads, %d writes, %d of them told to watchers, %d questions, %d published, %d heard",
		s.took.Seconds(), s.reads, s.writes, s.told, s.asked, s.published, s.heard)
}

// counted is a bus whose traffic is counted.
type counted struct {
	cluster.Bus
	n *traffic
}

func (c counted) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	c.n.reads.Add(1)
	return c.Bus.Get(ctx, key)
}

func (c counted) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	c.n.writes.Add(1)
	return c.Bus.Put(ctx, key, value, rev)
}

func (c counted) Watch(ctx context.Context, bucket string, changed func(string, []byte, uint64), blind func()) error {
	return c.Bus.Watch(ctx, bucket, func(name string, value []byte, rev uint64) {
		c.n.told.Add(1)
		changed(name, value, rev)
	}, blind)
}

func (c counted) Ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	c.n.asked.Add(1)
	return c.Bus.Ask(ctx, name, question)
}

func (c counted) Publish(subject string, message []byte) error {
	c.n.published.Add(1)
	return c.Bus.Publish(subject, message)
}

func (c counted) Subscribe(ctx context.Context, subject string, heard func([]byte)) error {
	return c.Bus.Subscribe(ctx, subject, func(m []byte) {
		c.n.heard.Add(1)
		heard(m)
	})
}
