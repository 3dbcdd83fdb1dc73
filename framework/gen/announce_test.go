// SPDX-License-Identifier: MIT

package gen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/transport"
)

// TestMismatchIsTold: a client with other messages learns what does not fit, by
// type and field, and so does the server's log, once for each version.
func TestMismatchIsTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	pushes[point](srv)
	framework.OnRequest(srv, "look", func(*framework.Player, struct{}) (base, error) { return base{}, nil })
	var log logtest.Lines
	Announce(srv, log.Logger())
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := client.New([]string{"tcp://" + srv.Addr(transport.TCP).String()}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(srv.Routes(), func(r *framework.Route) bool { return isSchemaRoute(r.Name()) })
	route := srv.Routes()[i].Name()
	const same = "push state gen.point\nrequest look struct{} gen.base\ntype gen.base HP:int Mana:int\ntype gen.point X:float32 Y:float32\n"
	if route != schemaRoute+hash(same) {
		t.Errorf("route %s is not that of the text", route)
	}
	ask := func(text string) []string {
		var problems []string
		if err := c.Request(ctx, route, text, &problems); err != nil {
			t.Fatal(err)
		}
		return problems
	}
	for _, text := range []string{same, "push state gen.point\ntype gen.point X:float32\n", "push state other.Spot\ntype other.Spot X:float32 Y:float32 More:string\n"} {
		if problems := ask(text); len(problems) > 0 {
			t.Errorf("%q: %q", text, problems)
		}
	}
	if text := log.String(); text != "" {
		t.Errorf("log: %s", text)
	}
	wrong := "push state gen.point\npush news string\ntype gen.point X:float64\n"
	for range 3 {
		problems := ask(wrong)
		want := []string{"push news: the client has string, the server nothing", "gen.point, field 1: the client has X:float64, the server X:float32"}
		if !slices.Equal(problems, want) {
			t.Errorf("%q", problems)
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "gen.point, field 1") {
		t.Errorf("log: %s", text)
	}
	for n := range 2 * maxVersions { // made up
		ask(fmt.Sprintf("push x%d int", n))
	}
	if n := log.Count("\n"); n > maxVersions {
		t.Errorf("%d lines", n)
	}
	var refused *codec.Error
	if err := c.Request(ctx, route, "nonsense", nil); !errors.As(err, &refused) || refused.Code != codec.ErrorBadRequest {
		t.Errorf("nonsense: %v", err)
	}
	_ = c.Close()
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// What would be left out of the announcement fails the test.
func TestAnnounceIsCalledLast(t *testing.T) {
	srv := server(t, pushes[point])
	Announce(srv, nil)
	t.Setenv(writing, "1")
	var f failures
	Check(&f, srv, t.TempDir()+"/lock")
	if len(f) > 0 {
		t.Errorf("%q", []string(f))
	}
	framework.SendsAs[int](srv, framework.DeliverAll, "late")
	Check(&f, srv, t.TempDir()+"/lock")
	if len(f) != 1 || !strings.Contains(f[0], "call it last") {
		t.Errorf("%q", []string(f))
	}
}
