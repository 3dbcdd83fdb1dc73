// SPDX-License-Identifier: MIT

package gametest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// chat says everything that is said to everybody in the room.
type chat struct{ *framework.Room }

func newChat(cfg framework.Config) (*framework.Server, error) {
	login := cfg.Authenticate
	cfg.Authenticate = func(ctx context.Context, l framework.Login) (framework.Identity, error) {
		if string(l.Ticket) == "eve" {
			return framework.Identity{}, framework.Fail(1001, "banned")
		}
		return login(ctx, l)
	}
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	rooms := framework.AddRoom(srv, "chat", func(r *framework.Room) *chat { return &chat{r} })
	framework.OnRoomMessage(rooms, "say", func(c *chat, p *framework.Player, text string) {
		_ = c.Broadcast("said", p.User()+": "+text)
	})
	framework.OnRequest(srv, "whoami", func(p *framework.Player, _ struct{}) (string, error) { return p.User(), nil })
	framework.OnRequest(srv, "fail", func(*framework.Player, struct{}) (int, error) { return 0, framework.Fail(1002, "never") })
	framework.OnRequest(srv, "move", func(p *framework.Player, to string) (bool, error) { return true, p.Move(to) })
	return srv, nil
}

var carriers = []framework.Carrier{framework.TCP, framework.WebSocket, framework.PlainKCP, framework.KCP}

// What a player may go through, and how often it comes back to its session for
// it. Nothing that is said meanwhile is lost, on any carrier.
func TestBadLuck(t *testing.T) {
	for _, luck := range []struct {
		name    string
		happens func(g *gametest.Game, p *gametest.Player)
		ends    func(p *gametest.Player)
		after   time.Duration
		resumes func(c framework.Carrier) uint64
	}{
		{"nothing", func(*gametest.Game, *gametest.Player) {}, nil, 0, never},
		{"short cut", func(_ *gametest.Game, p *gametest.Player) { p.Cut() }, (*gametest.Player).Heal, 3 * time.Second, never},
		{"long cut", func(_ *gametest.Game, p *gametest.Player) { p.Cut() }, (*gametest.Player).Heal, time.Minute, once},
		{"drop", func(_ *gametest.Game, p *gametest.Player) { p.Drop() }, nil, time.Minute, once},
		{"loss", func(_ *gametest.Game, p *gametest.Player) { p.Loss(0.3) }, nil, time.Minute, never},
		{"delay", func(_ *gametest.Game, p *gametest.Player) { p.Delay(400 * time.Millisecond) }, nil, time.Minute, never},
		{"another address", func(_ *gametest.Game, p *gametest.Player) { p.Rebind() }, nil, time.Minute, func(c framework.Carrier) uint64 {
			if c == framework.KCP {
				return 0
			}
			return 1
		}},
	} {
		for _, c := range carriers {
			t.Run(fmt.Sprintf("%s/%v", luck.name, c), func(t *testing.T) {
				gametest.Options{Carrier: c, Conditions: gametest.Conditions{Delay: 10 * time.Millisecond}}.Run(t, newChat, func(g *gametest.Game) {
					ann, bob := g.Player("ann"), g.Player("bob")
					ann.Join("chat", "1")
					bob.Join("chat", "1")
					luck.happens(g, bob)
					for i := range 10 {
						ann.Send("say", fmt.Sprint("a", i))
						bob.Send("say", fmt.Sprint("b", i))
						g.Sleep(luck.after / 10)
					}
					if luck.ends != nil {
						luck.ends(bob)
					}
					for i := range 10 {
						for _, p := range []*gametest.Player{ann, bob} {
							gametest.Until(p, "said", func(s string) bool { return s == fmt.Sprint("ann: a", i) || s == fmt.Sprint("bob: b", i) })
						}
					}
					g.Within("everything said", func() bool { return len(ann.Trace()) >= 21 && len(bob.Trace()) >= 21 })
					if st := bob.Client.Stats(); st.Opens != 1 || st.Resets != 0 || st.Resumes != luck.resumes(c) || st.Carrier != carrierName(c) {
						g.T.Errorf("%+v", st)
					}
				})
			})
		}
	}
}

func never(framework.Carrier) uint64 { return 0 }
func once(framework.Carrier) uint64  { return 1 }

// carrierName is what clients call it.
func carrierName(c framework.Carrier) string { return c.String() }

func TestRequestsAndRefusals(t *testing.T) {
	gametest.Run(t, newChat, func(g *gametest.Game) {
		ann := g.Player("ann")
		if me := gametest.Request[string](ann, "whoami", nil); me != "ann" {
			g.T.Errorf("whoami: %q", me)
		}
		if e := ann.RequestError("fail", nil); e.Code != 1002 || e.Text != "never" {
			g.T.Errorf("refused with %v", e)
		}
		var no *framework.CloseError
		if err := g.NewPlayer("eve").Client.Connect(g.T.Context()); !errors.As(err, &no) || no.Code != 1001 {
			g.T.Errorf("eve: %v", err)
		}
	})
}

// Where a player sits, be it there by its own wish or the server's.
func TestSeats(t *testing.T) {
	put := func(cfg framework.Config) (*framework.Server, error) {
		srv, err := newChat(cfg)
		if err != nil {
			return nil, err
		}
		type den struct{ *framework.Room }
		dens := framework.AddRoom(srv, "den", func(r *framework.Room) *den {
			r.After(time.Minute, func() { r.Close(framework.RoomFinished, "") })
			return &den{r}
		}).Private()
		framework.OnRequest(srv, "put me", func(p *framework.Player, key string) (bool, error) { return true, dens.JoinAsync(p, key) })
		return srv, nil
	}
	gametest.Run(t, put, func(g *gametest.Game) {
		ann := g.Player("ann")
		ann.Join("chat", "1")
		gametest.Request[bool](ann, "put me", "cave")
		if chat, den := ann.In("chat"), ann.In("den"); chat != "1" || den != "cave" {
			g.T.Errorf("in %q and %q", chat, den)
		}
		ann.Out("den")
		if g.Now() < time.Minute {
			g.T.Errorf("out after %v", g.Now())
		}
		ann.Leave("chat")
		ann.Out("chat")
	})
}

// The app is killed and started again; so is the server.
func TestRestarts(t *testing.T) {
	for _, store := range []framework.Store{nil, new(framework.MemoryStore)} {
		t.Run(fmt.Sprintf("%T", store), func(t *testing.T) {
			gametest.Options{Store: store}.Run(t, newChat, func(g *gametest.Game) {
				ann := g.Player("ann")
				id := ann.Client.ID()
				ann.Restart()
				if ann.Client.ID() != id {
					g.T.Error("the app came back to another session")
				}
				if ann.Event(client.EventReset); gametest.Request[string](ann, "whoami", nil) != "ann" {
					g.T.Error("the app does not know who it is")
				}
				before := g.Server
				g.Restart()
				if g.Server == before {
					g.T.Fatal("the same server")
				}
				if store == nil {
					ann.Event(client.EventOpened)
				} else {
					ann.Event(client.EventResumed)
				}
				if moved := ann.Client.ID() == id; moved != (store != nil) {
					g.T.Errorf("the session went on: %v, with the store %T", moved, store)
				}
				if gametest.Request[string](ann, "whoami", nil) != "ann" {
					g.T.Error("the player is another one")
				}
			})
		})
	}
}

func TestSecondServer(t *testing.T) {
	gametest.Options{Store: new(framework.MemoryStore)}.Run(t, newChat, func(g *gametest.Game) {
		other := g.AddNode()
		ann := g.Player("ann")
		gametest.Request[bool](ann, "move", other.Address())
		ann.Event(client.EventResumed)
		if here, there := g.Server.Stats().Sessions, other.Server.Stats().Sessions; here != 0 || there != 1 {
			g.T.Errorf("%d sessions here, %d there", here, there)
		}
		if gametest.Request[string](ann, "whoami", nil) != "ann" {
			g.T.Error("the player is another one")
		}
	})
}

// TestADrainIsTheSameInEachRun: the turns of the players, too.
func TestADrainIsTheSameInEachRun(t *testing.T) {
	game := func(cfg framework.Config) (*framework.Server, error) {
		cfg.Drain.Window = 20 * time.Second
		return framework.New(cfg)
	}
	var first []string
	for range 3 {
		var all []string
		gametest.Options{Seed: 7}.Run(t, game, func(g *gametest.Game) {
			for i := range 8 {
				g.Player(fmt.Sprint(i))
			}
			g.Drain()
			g.Sleep(30 * time.Second)
			for _, p := range g.Players() {
				all = append(all, p.Trace()...)
			}
		})
		if first == nil {
			first = all
		}
		if !slices.Equal(all, first) {
			t.Fatalf("two runs of one seed:\n%q\n%q", first, all)
		}
	}
}
