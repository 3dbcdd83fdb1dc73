// SPDX-License-Identifier: MIT

package match_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/match"
)

// The view of the Go client: enters, is asked, accepts, plays; and it forgets all with the
// session.
func TestTheClientsView(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(match.Config{Rules: match.Rules{Accept: 10 * time.Second}}, match.Options{}), func(k *gametest.Game) {
		var queues []*client.Queue
		told := make(chan client.Ticket, 100) // more than there are
		for _, user := range []string{"ann", "bob"} {
			p := k.NewPlayer(user)
			q := client.NewQueue(p.Client)
			q.OnTicket(func(t client.Ticket) {
				if t.State == client.TicketProposed && !t.You {
					go func() { _ = q.Accept(k.T.Context(), t.Match) }()
				}
				if user == "ann" {
					told <- t
				}
			})
			p.Connect()
			queues = append(queues, q)
		}
		ann := k.Players()[0]
		wish := client.Wish{Queue: "ranked", Fields: []client.WishField{{Name: "mode", Value: "forbidden"}}}
		if err, ok := queues[0].Enter(k.T.Context(), wish).(*client.Error); !ok || err.Code != 1234 {
			t.Errorf("enter: %v", err)
		}
		wish.Fields, wish.Regions = nil, []client.Region{{Name: "eu", Milliseconds: 20}}
		for _, q := range queues {
			if err := q.Enter(k.T.Context(), wish); err != nil {
				t.Error(err)
			}
		}
		key := ann.In("arena")
		var states []client.TicketState
		for {
			x := <-told
			if n := len(states); n == 0 || states[n-1] != x.State {
				states = append(states, x.State)
			}
			if x.State == client.TicketMatched {
				if x.Key != key || x.Type != "arena" {
					t.Errorf("%+v, and the room is %s", x, key)
				}
				break
			}
		}
		if len(states) < 3 || states[0] != client.TicketWaiting || states[1] != client.TicketProposed {
			t.Errorf("states %v", states)
		}
		k.Server.User("ann")[0].Kick(framework.CodeKicked, "")
		if x := <-told; x.State != client.TicketNone || x.Text != "the session has ended" {
			t.Errorf("%+v", x)
		}
		if err := queues[1].Cancel(k.T.Context()); err == nil {
			t.Error("cancel while it plays")
		}
	})
}

// What is told is the same bytes for clients in every language.
func TestWireIsThatOfTheVectors(t *testing.T) {
	text, err := os.ReadFile("../client/testdata/social.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"ticket": &match.Status{
			Queue: "ranked", State: match.Proposed, Before: 3, Usual: 4000, Waited: 1500, Match: 7, Players: 10, Accepted: 4, You: true, Left: 9000,
			Why: 2, Text: "declined", Type: "arena", Key: "K",
		},
		"wish":   &match.Wish{Queue: "ranked", Regions: []match.Region{{Name: "eu", Milliseconds: 20}}, Fields: []match.Field{{Name: "mode", Value: "ice"}}},
		"answer": &match.Answer{Match: 7, Accept: true},
	} {
		b, err := codec.AppendBody(nil, v)
		if err != nil || hex.EncodeToString(b) != want[name] {
			t.Errorf("%s: %x, want %s (%v)", name, b, want[name], err)
		}
	}
}

// TestAPlayerWhoMovesIsOut: it is told so, also while its match begins, and the others wait on.
func TestAPlayerWhoMovesIsOut(t *testing.T) {
	start := func(c framework.Config) (*framework.Server, error) {
		srv, err := framework.New(c)
		if err != nil {
			return nil, err
		}
		rooms := framework.AddRoomWith(srv, "arena", func(r *framework.Room, teams string) (*arena, error) { return &arena{r, teams}, nil })
		match.Add(match.New(srv, match.Options{}), "ranked", rooms, match.Config{}, func(m match.Made) (string, error) {
			time.Sleep(5 * time.Second)
			return names(m), nil
		})
		return srv, nil
	}
	for _, state := range []client.TicketState{client.TicketWaiting, client.TicketSeating} {
		gametest.Options{Servers: 2}.Run(t, start, func(k *gametest.Game) {
			enter := func(user string) *client.Queue {
				p := k.NewPlayer(user)
				q := client.NewQueue(p.Client)
				p.Connect()
				k.Sleep(time.Second)
				if err := q.Enter(k.T.Context(), client.Wish{Queue: "ranked"}); err != nil {
					t.Fatal(err)
				}
				return q
			}
			ann := enter("ann")
			var bob *client.Queue
			if state == client.TicketSeating {
				bob = enter("bob")
			}
			k.Within("ann's ticket is so far", func() bool { return ann.Ticket().State == state })
			if err := k.Players()[0].Seen().Move(k.Nodes()[1].Address()); err != nil {
				t.Fatal(err)
			}
			k.Sleep(20 * time.Second)
			if n := k.Players()[0].Node(); n == nil || n.Number() != 2 {
				t.Fatal("ann has not moved")
			}
			if got := ann.Ticket(); got.State != client.TicketNone || got.Text == "" {
				t.Errorf("moved in state %v, ann is told %+v", state, got)
			}
			if bob != nil && bob.Ticket().State != client.TicketWaiting {
				t.Errorf("bob is told %+v", bob.Ticket())
			}
		})
	}
}
