// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

func run(t *testing.T, test func(g *gametest.Game)) {
	file := filepath.Join(t.TempDir(), "shop.db")
	var banks []*bank
	gametest.Run(t, func(cfg framework.Config) (*framework.Server, error) {
		b, err := openBank(file)
		if err != nil {
			return nil, err
		}
		banks = append(banks, b)
		return newServer(cfg, b)
	}, func(g *gametest.Game) {
		g.T.Cleanup(func() {
			for _, b := range banks {
				_ = b.db.Close()
			}
		})
		test(g)
	})
}

// A purchase is paid once, however often it is asked for, and also when the server was
// started anew in between.
func TestPaidOnce(t *testing.T) {
	run(t, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		gametest.Expect(ann, "profile", Profile{"ann", 100})
		ann.Join("shop", "1")
		bob.Join("shop", "1")
		for i := range 3 {
			ann.Drop()
			if gold := gametest.Request[int](ann, "buy", Purchase{fmt.Sprint(i), 10}); gold != 90-10*i {
				g.T.Errorf("after purchase %d: %d gold", i, gold)
			}
			gametest.Expect(bob, "bought", "ann")
		}
		g.Restart()
		gametest.Expect(ann, "profile", Profile{"ann", 70})
		ann.Join("shop", "1")
		if gold := gametest.Request[int](ann, "buy", Purchase{"2", 10}); gold != 70 {
			g.T.Errorf("a purchase that was made before: %d gold", gold)
		}
	})
}

func TestNobodyOwes(t *testing.T) {
	run(t, func(g *gametest.Game) {
		ann := g.Player("ann")
		ann.Join("shop", "1")
		for id, cost := range map[string]int{"a": 101, "b": 0, "c": -5} {
			if e := ann.RequestError("buy", Purchase{id, cost}); e.Code != codeTooPoor {
				g.T.Errorf("cost %d: %v", cost, e)
			}
		}
		if gold := gametest.Request[int](ann, "buy", Purchase{"a", 100}); gold != 0 {
			g.T.Errorf("%d gold left", gold)
		}
	})
}
