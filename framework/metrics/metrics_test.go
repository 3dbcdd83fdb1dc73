// SPDX-License-Identifier: MIT

package metrics_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/metrics"
	"github.com/lifeline-go/lifeline/transport"
)

// start runs a server with a player in a room.
func start(t *testing.T) *framework.Server {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	srv, err := framework.New(framework.Config{Logger: quiet, Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	framework.AddRoom(srv, "hall", func(r *framework.Room) *framework.Room { return r })
	srv.AdminPage("GET /metrics", metrics.Handler(srv))
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, []string{"tcp://" + srv.Addr(transport.TCP).String()}, client.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Join(ctx, "hall", "1"); err != nil {
		t.Fatal(err)
	}
	return srv
}

// scrape reads the exposition as Prometheus does.
func scrape(t *testing.T, srv *framework.Server) string {
	t.Helper()
	r, err := http.Get("http://" + srv.AdminAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("status %d, %s, %v", r.StatusCode, r.Header.Get("Content-Type"), err)
	}
	return string(b)
}

func TestExposition(t *testing.T) {
	text := scrape(t, start(t))
	for _, line := range []string{
		`lifeline_sessions{carrier="tcp",state="attached"} 1`,
		`lifeline_sessions{carrier="plain-kcp",state="attached"} 0`,
		`lifeline_sessions{carrier="none",state="detached"} 0`,
		`lifeline_sessions_opened_total 1`,
		`lifeline_sessions_closed_total{code="expired"} 0`,
		`lifeline_refusals_total{code="busy"} 0`,
		`lifeline_refusals_total{code="banned"} 0`,
		`lifeline_refusals_total{code="kicked"} 0`, // it comes back after that
		`lifeline_refusals_total{code="taken_over"} 0`,
		`lifeline_refusals_total{code="policy"} 0`,
		`lifeline_logins_turned_away_total{full="maintenance"} 0`,
		`lifeline_links_lost_total{reason="timeout"} 0`,
		`lifeline_rooms{type="hall"} 1`,
		`lifeline_room_players{type="hall"} 1`,
		`lifeline_links{carrier="tcp"} 1`,
		`lifeline_panics_total{layer="session"} 0`,
		`lifeline_panics_total{layer="transport"} 0`,
		`lifeline_datagrams_dropped_total{fate="unknown"} 0`,
		`lifeline_rtt_seconds_bucket{le="0.001"} 0`,
		`lifeline_queued_packets_bucket{le="+Inf"} 0`,
		`lifeline_loop_lateness_seconds_bucket{loop="0",le="+Inf"}`,
		`lifeline_loop_busy_seconds_total{loop="0"}`,
		`go_goroutines`,
		`process_cpu_seconds_total`,
		`process_resident_memory_bytes`,
		`process_open_fds`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("not exported: %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestPromtoolAgrees lets Prometheus' own linter judge. It comes with the Debian
// package prometheus; .ci/run sees to it.
func TestPromtoolAgrees(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool here")
	}
	cmd := exec.Command(tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, start(t)))
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestTwoServersInOneProcess: nothing here is global.
func TestTwoServersInOneProcess(t *testing.T) {
	one, two := start(t), start(t)
	for _, srv := range []*framework.Server{one, two} {
		r := prometheus.NewRegistry()
		if err := r.Register(metrics.New(srv)); err != nil {
			t.Error(err)
		}
		if _, err := r.Gather(); err != nil {
			t.Error(err)
		}
	}
	if scrape(t, one) == "" || scrape(t, two) == "" {
		t.Error("nothing exported")
	}
}

// TestWhoDoesNotImportMetricsDoesNotLinkPrometheus is why this is a package.
func TestWhoDoesNotImportMetricsDoesNotLinkPrometheus(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/lifeline-go/lifeline/framework", "github.com/lifeline-go/lifeline/framework/client").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, heavy := range []string{"prometheus", "net/http/pprof", "google.golang.org/protobuf"} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("framework or its client links %s", heavy)
		}
	}
}

func Example() {
	srv, err := framework.New(framework.Config{Admin: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	srv.AdminPage("GET /metrics", metrics.Handler(srv))
	// Without a listener of its own, on any mux: the pages guard themselves.
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:9", "localhost"
	w := httptest.NewRecorder()
	srv.Admin().ServeHTTP(w, r)
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "lifeline_sessions_opened_total") {
			_, _ = os.Stdout.WriteString(line)
		}
	}
	// Output: lifeline_sessions_opened_total 0
}

// TestPartsThatPanic: the numbers of a part are the game's code. One that panics is left out.
func TestPartsThatPanic(t *testing.T) {
	srv, err := framework.New(framework.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv.AddStats("bad", func() framework.PartStats { panic("boom") })
	srv.AddStats("good", func() framework.PartStats { return framework.PartStats{Now: map[string]int64{"waiting": 7}} })
	w := httptest.NewRecorder()
	metrics.Handler(srv).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if body := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(body, `part="good"`) || strings.Contains(body, `part="bad"`) {
		t.Errorf("%d: %.2000s", w.Code, body)
	}
	if st := srv.Stats(); st.Panics == 0 || st.Parts["good"].Now["waiting"] != 7 || len(st.Parts) != 1 {
		t.Errorf("%d panics, %+v", st.Panics, st.Parts)
	}
}
