// SPDX-License-Identifier: MIT

package client

import (
	"slices"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
)

// A route is written by its number where the session has one, and is read back whichever
// way it was written.
func TestRoutesAreWrittenByTheirNumber(t *testing.T) {
	names := []string{"chat", "move"}
	d := new(dictionary).of(names)
	for name, numbered := range map[string]bool{"chat": true, "move": true, "score": false} {
		r := d.route(name)
		if r.IsNumber() != numbered || d.name(r) != name || d.name(codec.NamedRoute(name)) != name {
			t.Errorf("%s: numbered %v, read as %q", name, r.IsNumber(), d.name(r))
		}
	}
	if got := d.name(codec.NumberedRoute(2)); got == "" || slices.Contains(names, got) {
		t.Errorf("a number that the session has not is %q", got)
	}
	if d.of(names) != d || d.of(nil) == d || d.of([]string{"chat", "move"}) == d {
		t.Error("a dictionary is that of one session")
	}
}

// What was sent and never accepted is told in the names of its session.
func TestUndeliveredIsToldByName(t *testing.T) {
	d := new(dictionary).of([]string{"chat"})
	list := d.messages([]codec.Packet{
		{Header: codec.Header{Kind: codec.Message}, Body: codec.AppendMessage(nil, codec.NumberedRoute(0), []byte{1})},
		{Header: codec.Header{Kind: codec.Request}, Body: codec.AppendRequest(nil, 7, codec.NamedRoute("buy"), []byte{2})},
		{Header: codec.Header{Kind: codec.Response}, Body: codec.AppendResponse(nil, 7, nil)}, // the app did not send it
	})
	if len(list) != 2 || list[0].Route != "chat" || list[0].Request || list[1].Route != "buy" || !list[1].Request || list[1].Payload[0] != 2 {
		t.Errorf("%+v", list)
	}
}
