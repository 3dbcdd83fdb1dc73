// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/session"
)

// awaitThat waits until something is so.
func awaitThat(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// TestDirectoryComesBackEmpty: the process that keeps the directory is started again without what
// it had. A server that had sessions ends them, and says why: the directory does not know of them
// any more, so that their users could play at other servers too.
func TestDirectoryComesBackEmpty(t *testing.T) {
	cfg := Config{Listen: freePort(t), Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	one, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	two := start(t, Config{Join: []string{cfg.Listen}})
	var log logtest.Lines
	a, ac := serveLogged(t, log.Logger(), cluster.Config{Bus: two})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ann := annAt(t, a)
	if err := ann.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "the second renewal", func() bool { return ac.Stats().Renewals > 1 })
	one.Close()
	cfg.Dir = t.TempDir()
	one = start(t, cfg)
	awaitThat(t, "the server that was forgotten", func() bool { return ac.Stats().Declared == 1 })
	if n := log.Count("the directory has forgotten"); n != 1 {
		t.Errorf("it is said %d times: %s", n, log.String())
	}
	b, bc := serve(t, cluster.Config{Bus: one})
	again := annAt(t, b)
	if err := again.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "the end of the sessions that were forgotten", func() bool { return len(a.User("ann")) == 0 })
	if st := bc.Stats(); len(b.User("ann")) != 1 || st.Servers["up"] != 1 {
		t.Errorf("%d sessions, %v", len(b.User("ann")), st.Servers)
	}
}

// TestBucketIsLost: players that can't log in, since the directory has lost the sessions, are told
// to come again. What is wrong, and what to do, is said in the log, and once.
func TestBucketIsLost(t *testing.T) {
	one := start(t, Config{Dir: t.TempDir()})
	var log logtest.Lines
	a, ac := serveLogged(t, log.Logger(), cluster.Config{Bus: one})
	if err := one.js.DeleteKeyValue(t.Context(), one.bucket("sessions")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	refused := make(chan error, 100)
	ann, err := client.New([]string{fmt.Sprint("tcp://", a.Addr(framework.TCP))}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(e client.Event) { refused <- e.Err },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	ended := make(chan error, 1)
	go func() { ended <- ann.Connect(ctx) }()
	if why, _ := errors.AsType[*session.CloseError](<-refused); why == nil || why.Code != session.Busy {
		t.Errorf("the player is told %v", why)
	}
	cancel()
	<-ended
	if failures := ac.Stats().Failures["get"]; failures < 2 || log.Count("a request to the directory failed") != 1 || log.Count(ErrForgotten.Error()) != 1 {
		t.Errorf("%d requests failed, and the log is:\n%s", failures, log.String())
	}
}

// TestPartMadeAnew: a part of the directory that was lost is made anew by the next server that
// starts. The others know nothing of that, so it is said.
func TestPartMadeAnew(t *testing.T) {
	cfg := Config{Listen: freePort(t), Dir: t.TempDir()}
	one := start(t, cfg)
	const says = "a part of the directory was not there"
	open := func() int {
		var log logtest.Lines
		b, err := Start(Config{Join: []string{cfg.Listen}, Logger: log.Logger()})
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		return log.Count(says)
	}
	lose := func() {
		if err := one.js.DeleteKeyValue(t.Context(), one.bucket("sessions")); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	if n := open(); n != 0 {
		t.Errorf("no server has joined the cluster, and it is said %d times", n)
	}
	put(t, one, "meta/cluster", "joined", 0)
	if n := open(); n != 0 {
		t.Errorf("nothing is lost, and it is said %d times", n)
	}
	lose()
	if n := open(); n != 1 {
		t.Errorf("the sessions are lost, and it is said %d times", n)
	}
}

// TestLostDirectoryIsSaidOnce: while the directory has nothing, a server says so now and then, with
// what to do. It was eight lines a second.
func TestLostDirectoryIsSaidOnce(t *testing.T) {
	var log logtest.Lines
	b, err := Start(Config{Dir: t.TempDir(), Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := b.Watch(ctx, "leases", func(string, []byte, uint64) {}, func() {}); err != nil {
		t.Fatal(err)
	}
	if err := b.js.DeleteKeyValue(ctx, b.bucket("leases")); err != nil {
		t.Fatal(err)
	}
	b.anew()
	awaitThat(t, "the complaint", func() bool { return log.Count("the directory can't be watched") > 0 })
	time.Sleep(1200 * time.Millisecond) // it tries twice a second
	if log.Count("the directory can't be watched") != 1 || log.Count(ErrForgotten.Error()) != 1 {
		t.Error(log.String())
	}
}
