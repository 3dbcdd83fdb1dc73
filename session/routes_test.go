// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
)

// nextHello makes c, which has no session, log in on another link.
func nextHello(t *testing.T, c *Client) *HelloRequest {
	t.Helper()
	_, _ = c.Receive(packetOf(t, AppendGreeting(nil, Nonce{})), 0)
	h, err := ParseHello(packetOf(t, c.Output(nil, 0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func welcomeWith(t *testing.T, routes []string) codec.Packet {
	t.Helper()
	return packetOf(t, appendControl(nil, codec.Welcome, &welcomeBody{make([]byte, 16), make([]byte, 32), 0, 0, testParams(t), routes, nil}))
}

// SPEC 3.12: a dictionary holds for a session, its hash for the next HELLO.
func TestDictionaryIsTakenOverAndAskedForByHash(t *testing.T) {
	c, err := NewClient(ClientConfig{Rand: func() uint64 { return 4 }})
	if err != nil {
		t.Fatal(err)
	}
	c.Check(0, noon)
	c.LinkUp(0, noon, false)
	if h := nextHello(t, c); h.Routes == nil || len(h.Routes) != 0 {
		t.Fatalf("the first HELLO has the hash %x, want an empty one", h.Routes)
	}
	dict := []string{"chat", "move"}
	if _, err := c.Receive(welcomeWith(t, dict), 0); err != nil || !slices.Equal(c.Routes(), dict) {
		t.Fatalf("routes %v, %v", c.Routes(), err)
	}

	// The session ends and the client logs in afresh: names only until WELCOME.
	c.gone(&CloseError{Code: Unknown}, 0)
	if c.Routes() != nil {
		t.Errorf("without a session the routes are %v", c.Routes())
	}
	c.state, c.greeted = Opening, false
	if h := nextHello(t, c); !bytes.Equal(h.Routes, RoutesHash(dict)) {
		t.Errorf("the second HELLO has the hash %x, want %x", h.Routes, RoutesHash(dict))
	}
	if _, err := c.Receive(welcomeWith(t, nil), 0); err != nil || !slices.Equal(c.Routes(), dict) {
		t.Errorf("routes %v, %v", c.Routes(), err)
	}

	// Another server has another one.
	c.gone(&CloseError{Code: Unknown}, 0)
	c.state, c.greeted = Opening, false
	nextHello(t, c)
	if _, err := c.Receive(welcomeWith(t, []string{"x"}), 0); err != nil || !slices.Equal(c.Routes(), []string{"x"}) {
		t.Errorf("routes %v, %v", c.Routes(), err)
	}
}

// An app that comes back with its token has lost the dictionary: RESET tells it.
func TestResetTellsTheDictionaryToARestartedApp(t *testing.T) {
	shard := testShard(t, Config{})
	var s Session
	s.Open(shard, ID{1}, 0)
	dict := []string{"chat", "move"}
	c := fuzzClients(t)["restarted"]
	out, reset, refusal := s.Resume(nil, &ResumeRequest{ID: ID{1}, Attempt: 9, Fresh: true, Lowest: 1, Routes: dict}, 0)
	if !reset || refusal != nil {
		t.Fatal(reset, refusal)
	}
	if c.Routes() != nil {
		t.Errorf("before the answer the routes are %v", c.Routes())
	}
	if _, err := c.Receive(packetOf(t, out), 0); err != nil || !slices.Equal(c.Routes(), dict) {
		t.Errorf("routes %v, %v", c.Routes(), err)
	}
	// Who has lost nothing is not told again.
	s.Overflow(0)
	out, _, _ = s.Resume(nil, &ResumeRequest{ID: ID{1}, Attempt: 10, Lowest: 1, Routes: dict}, 0)
	var b resetBody
	if err := decodeControl(packetOf(t, out), &b); err != nil || b.Routes != nil {
		t.Errorf("told %v, %v", b.Routes, err)
	}
}

func TestImpossibleDictionaries(t *testing.T) {
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprint("route ", i)
	}
	for name, routes := range map[string][]string{
		"an empty name":   {"a", ""},
		"a long name":     {strings.Repeat("x", codec.MaxRouteName+1)},
		"one name twice":  {"a", "b", "a"},
		"too many of all": many,
	} {
		if CheckRoutes(routes) == nil {
			t.Errorf("%s is a dictionary", name)
		}
		c := fuzzClients(t)["logging in"]
		if _, err := c.Receive(welcomeWith(t, routes), 0); !errors.Is(err, ErrControl) || c.State() == Open {
			t.Errorf("%s: %v, %v", name, err, c.State())
		}
	}
	if err := CheckRoutes([]string{"a", strings.Repeat("x", codec.MaxRouteName)}); err != nil {
		t.Error(err)
	}
}
