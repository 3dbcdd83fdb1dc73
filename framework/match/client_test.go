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
