// SPDX-License-Identifier: MIT

package gametest_test

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// duel is a room of two, who lose what they are hit by.
type duel struct {
	*framework.Room
	health map[string]int
	left   []string
}

func newDuel(r *framework.Room) *duel { return &duel{Room: r, health: map[string]int{}} }

func (d *duel) OnJoin(p *framework.Player) error {
	if d.Len() > 2 {
		return framework.Fail(1001, "two are enough")
	}
	d.health[p.User()] = 100
	return nil
}

func (d *duel) OnLeave(p *framework.Player, _ framework.Reason) { d.left = append(d.left, p.User()) }

func (d *duel) OnTick(t framework.Tick) {
	for user := range d.health {
		d.health[user] -= int(t.N)
	}
}

func (d *duel) Hit(p *framework.Player, points int) (int, error) {
	for _, other := range d.Members() {
		if other != p {
			d.health[other.User()] -= points
		}
	}
	return d.health[p.User()], d.Broadcast("health", d.health)
}

func TestOneRoomByItself(t *testing.T) {
	gametest.RunRoom(t, newDuel, func(g *gametest.Game, room *gametest.Room[*duel]) {
		room.Do(func(d *duel) {
			if d.Len() != 0 {
				g.T.Error("the room is not empty")
			}
		})
		ann, bob := g.Player("ann"), g.Player("bob")
		room.Join(ann, bob)
		if e, ok := room.JoinError(g.Player("eve")).(*framework.Error); !ok || e.Code != 1001 {
			g.T.Errorf("a third one: %v", e)
		}
		room.Do(func(d *duel) {
			if health, err := d.Hit(ann.Seen(), 30); health != 100 || err != nil {
				g.T.Errorf("ann has %d: %v", health, err)
			}
			d.OnTick(framework.Tick{N: 5, Step: time.Second})
			if d.health["bob"] != 65 {
				g.T.Errorf("bob has %d", d.health["bob"])
			}
		})
		gametest.Expect(bob, "health", map[string]int{"ann": 100, "bob": 70})
		bob.Cut()
		g.Sleep(5 * time.Minute)
		room.Do(func(d *duel) {
			if d.Len() != 1 || len(d.left) != 1 || d.left[0] != "bob" {
				g.T.Errorf("%d are left, and %q have gone", d.Len(), d.left)
			}
		})
	})
}
