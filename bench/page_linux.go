// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"breaks": breaks, "cell": cell, "style": chart.Style}).Parse(pageText))

// breaks lets the name of a field go over several lines: a table with all of
// them would not fit otherwise.
func breaks(name string) template.HTML {
	return template.HTML(strings.ReplaceAll(chart.Escape(name), "_", "_<wbr>"))
}

// cell puts the lowest and the highest below the median.
func cell(text string) template.HTML {
	median, rest, ok := strings.Cut(text, " [")
	if !ok {
		return template.HTML(chart.Escape(text))
	}
	return template.HTML(chart.Escape(median) + "<br><small>[" + chart.Escape(rest) + "</small>")
}

// pageData is what the template gets.
type pageData struct {
	When     string
	Machine  machine
	Steal    string // the most of any run, in percent
	Steps    []step
	Sections []section
	Raw      template.JS
}

type section struct {
	Title, Text string
	Plots       []template.HTML
	Head        []string
	Rows        [][]string
}

// reportsOf finds the reports in what a step printed, whatever is around them:
// lifeline's first, and then those of whoever is beside it.
func reportsOf(printed json.RawMessage) (all []report) {
	var one report
	if json.Unmarshal(printed, &one) == nil && one.Runs > 0 {
		return []report{one}
	}
	if json.Unmarshal(printed, &all) == nil {
		return all
	}
	var named map[string]json.RawMessage
	if json.Unmarshal(printed, &named) != nil {
		return nil
	}
	var others []report
	for _, name := range slices.Sorted(maps.Keys(named)) {
		var r report
		switch {
		case json.Unmarshal(named[name], &r) != nil || r.Runs == 0: // no report
		case r.Over == nil:
			all = append(all, r)
		default:
			others = append(others, r)
		}
	}
	return append(all, others...)
}

func writePage(file string, steps []step, began time.Time) error {
	d := pageData{When: began.UTC().Format("2006-01-02 15:04 UTC"), Steps: steps}
	by := map[string][]report{}
	steal := 0.0
	for _, s := range steps {
		rs := reportsOf(s.Result)
		for i := range rs {
			steal = max(steal, rs[i].Highest.Steal)
		}
		by[s.Name] = append(by[s.Name], rs...)
		if len(rs) > 0 {
			d.Machine = rs[0].Machine
		}
	}
	d.Steal, d.Sections = chart.Short(steal), append(sections(by), clusterSections(by, steps)...)
	raw, err := json.Marshal(map[string]any{"began": began.UTC(), "machine": d.Machine, "steps": steps})
	if err != nil {
		return err
	}
	d.Raw = template.JS(strings.ReplaceAll(string(raw), "</", "<\\/"))
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := page.Execute(f, d); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// readPage returns the steps of a page that there is, by their command.
func readPage(file string) (map[string]step, error) {
	by := map[string]step{}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return by, nil
	}
	_, b, found := bytes.Cut(b, []byte(`id="data">`))
	b, _, ends := bytes.Cut(b, []byte("</script>"))
	var raw struct{ Steps []step }
	if err == nil && !(found && ends) {
		err = errors.New("no figures are in it")
	}
	if err = errors.Join(err, json.Unmarshal(b, &raw)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, s := range raw.Steps {
		by[s.Command] = s
	}
	return by, nil
}

func sections(by map[string][]report) []section {
	var all []section
	add := func(s section) {
		if len(s.Rows) > 0 {
			all = append(all, s)
		}
	}
	echoes := slices.Concat(by["echo"], by["sealed"], by["tcp"], by["ws"])
	s := section{Title: "Echo: players ask and are answered",
		Text: "A closed loop: one request at a time for each player, so latency is queueing. Read the CPU a message first; \"lifeline's CPU a message / its\" is from alternating runs, lifeline above it in the same step. udp is recvmmsg and sendmmsg with nothing above, the least a server can do."}
	s.Head, s.Rows = rows(slices.Concat(echoes, by["scale"]), "messages_per_second", "server_cpu_us_per_message", "p50_us", "p99_us", "allocs_per_message", "server_cpu_percent", "client_cpu_percent", "others_cpu_percent", "steal_percent")
	for _, g := range []struct {
		name    string
		reports []report
	}{{"datagrams", by["echo"]}, {"sealed", by["sealed"]}, {"TCP and WebSocket", slices.Concat(by["tcp"], by["ws"])}} {
		s.Plots = append(s.Plots, curves(chart.Plot{Title: "Latency, " + g.name + ": share of requests answered within", X: "ms", Y: "% of requests", LogX: true}, g.reports).SVG())
	}
	s.Plots = append(s.Plots, against(chart.Plot{Title: "Throughput against sessions", X: "sessions", Y: "messages/s", LogX: true}, slices.Concat(by["echo"], by["scale"]), func(r report) float64 { return r.MessagesPerSecond }).SVG())
	add(s)
	s = section{Title: "Curve: latency and cost at every load",
		Text: "An open loop at each rate, and a closed one at the end; latency counts from the time at which a request was due. Where fewer are answered than were asked for, the server is past its limit. Written late and read late are the players' own part, which share one core; written to arrived is what is left without it."}
	s.Head, s.Rows = rows(by["curve"], "messages_per_second", "server_cpu_us_per_message", "p50_us", "p99_us", "p999_us", "written_to_arrived_p50_us", "written_to_arrived_p99_us", "written_to_arrived_p999_us",
		"written_late_p50_us", "written_late_p99_us", "read_late_p50_us", "read_late_p99_us", "server_cpu_percent", "client_cpu_percent", "others_cpu_percent")
	for _, c := range []struct {
		title, y string
		figure   func(report) float64
	}{
		{"CPU a message", "us", func(r report) float64 { return r.ServerCPUPerMsg }},
		{"Median latency", "ms", func(r report) float64 { return r.P50 / 1e3 }},
		{"99 % are answered within", "ms", func(r report) float64 { return r.P99 / 1e3 }},
		{"99.9 % are answered within", "ms", func(r report) float64 { return r.P999 / 1e3 }},
		{"99 %, without what the players add", "ms", func(r report) float64 { return r.ApartP99 / 1e3 }},
		{"What the players add, at the 99th percentile: written late and read late", "ms", func(r report) float64 { return (r.WriteLateP99 + r.ReadLateP99) / 1e3 }},
	} {
		s.Plots = append(s.Plots, loads(chart.Plot{Title: c.title, X: "answers a second", Y: c.y, LogX: true, LogY: true}, by["curve"], c.figure).SVG())
	}
	add(s)
	s = section{Title: "Idle: players are there", Text: "Memory of the server for each session, less the empty server; CPU for heartbeats."}
	s.Head, s.Rows = rows(by["idle"], "rss_bytes_per_session", "rss_bytes_per_session_after_gc", "heap_bytes_per_session", "idle_cpu_percent", "heartbeats_per_second", "server_goroutines", "ramp_seconds")
	s.Plots = append(s.Plots, against(chart.Plot{Title: "Memory of the server against sessions", X: "sessions", Y: "MB", LogX: true}, by["idle"], func(r report) float64 { return r.RSS / (1 << 20) }).SVG())
	add(s)
	s = section{Title: "Connect and storm", Text: "Opening sessions, and all links cut at once under numbered traffic both ways. Nothing may be lost or come twice."}
	s.Head, s.Rows = rows(slices.Concat(by["connect"], by["storm"]), "links_per_second", "server_cpu_us_per_link", "resumes_per_second", "resume_p50_ms", "resume_p99_ms", "resume_slowest_ms", "server_cpu_us_per_resume", "numbered_up", "numbered_down", "messages_lost", "messages_twice")
	s.Plots = append(s.Plots, curves(chart.Plot{Title: "Recovery after the storm: players back", X: "ms after the cut", Y: "% of players"}, by["storm"]).SVG())
	add(s)
	s = section{Title: "Loss", Text: "Game traffic over a bad network: 60 bytes up and 400 down, 20 times a second, at an open loop; latency counts from the time at which a request was due. TCP is the kernel's own."}
	s.Head, s.Rows = rows(by["loss"], "p50_us", "p90_us", "p99_us", "p999_us", "longest_us", "unanswered", "bulk_mbit_per_second")
	s.Plots = append(s.Plots, losses(chart.Plot{Title: "99 % of requests are answered within", X: "% of packets lost", Y: "ms"}, by["loss"]).SVG())
	for _, level := range []float64{5, 20} {
		var some []report
		for _, r := range by["loss"] {
			if r.Loss == level {
				some = append(some, r)
			}
		}
		if len(some) > 0 {
			s.Plots = append(s.Plots, curves(chart.Plot{Title: fmt.Sprintf("Latency at %g %% loss", level), X: "ms", Y: "% of requests", LogX: true}, some).SVG())
		}
	}
	add(s)
	s = section{Title: "Broadcast and mixed", Text: "One room of everybody. A delivery is one message at one player. Mixed: requests and broadcasts at a rate while links break."}
	s.Head, s.Rows = rows(slices.Concat(by["broadcast"], by["mixed"]), "deliveries_per_second", "server_cpu_us_per_delivery", "server_cpu_us_per_message", "delivery_p50_us", "delivery_p99_us", "allocs_per_delivery", "tick_overrun_max_ms", "links_cut")
	add(s)
	s = section{Title: "Overload", Text: "More is asked for than the server can do; its handler works 20 microseconds."}
	s.Head, s.Rows = rows(by["overload"], "peak_per_second", "goodput_per_second", "goodput_over_peak", "refused_by_clients_share", "recovered_ms", "server_retransmits", "server_cpu_percent", "client_cpu_percent")
	add(s)
	s = section{Title: "Detect", Text: "Players die; when the server finds out, counted from their death, and whether it takes living ones for dead."}
	s.Head, s.Rows = rows(by["detect"], "detected", "promised_first_ms", "detect_first_ms", "detect_p50_ms", "detect_last_ms", "promised_last_ms", "false_positives", "lossy_session_minutes")
	s.Plots = append(s.Plots, curves(chart.Plot{Title: "Dead players that the server has found", X: "ms after their death", Y: "% of players"}, by["detect"]).SVG())
	add(s)
	return all
}

// always are figures whose being zero is what counts.
var always = map[string]bool{"messages_lost": true, "messages_twice": true, "false_positives": true, "allocs_per_message": true}

// rows makes a table of the figures that are named by their JSON.
func rows(reports []report, names ...string) (head []string, out [][]string) {
	head = []string{"server", "sessions"}
	compared := slices.ContainsFunc(reports, func(r report) bool { return r.Over != nil })
	if compared {
		head = append(head, "lifeline's CPU a message / its")
	}
	head = append(append(head, names...), "errors")
	fields := map[string]int{}
	t := reflect.TypeFor[figures]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		fields[name] = i
	}
	for _, r := range reports {
		name := label(r)
		if r.Loss > 0 {
			name += fmt.Sprintf(", %g %% loss", r.Loss)
		}
		if r.Rate > 0 {
			name += ", " + r.asked()
		}
		row := []string{name, fmt.Sprint(r.Sessions)}
		if r.Over != nil {
			row = append(row, r.Over.ServerCPUPerMsg.String())
		} else if compared {
			row = append(row, "")
		}
		for _, n := range names {
			v := func(f *figures) float64 { return reflect.ValueOf(*f).Field(fields[n]).Float() }
			cell := chart.Short(v(&r.figures))
			if v(&r.Highest) == 0 && !always[n] {
				cell = "" // not this scenario's
			}
			if lo, hi := chart.Short(v(&r.Lowest)), chart.Short(v(&r.Highest)); lo != hi {
				cell += " [" + lo + " - " + hi + "]"
			}
			row = append(row, cell)
		}
		out = append(out, append(row, fmt.Sprint(r.Errors.Sum())))
	}
	return head, out
}

// curves draws the distribution of each report.
func curves(p chart.Plot, reports []report) chart.Plot {
	for _, r := range reports {
		p.Add(label(r), points(r.Curve))
	}
	return p
}

func points(curve []chart.Point) (xy [][2]float64) {
	for _, c := range curve {
		xy = append(xy, [2]float64{max(c.Us/1e3, 1e-3), 100 * c.Share})
	}
	return xy
}

// against draws a figure over the number of sessions, one line a server.
func against(p chart.Plot, reports []report, figure func(report) float64) chart.Plot {
	for _, r := range reports {
		p.Extend(label(r), [2]float64{float64(r.Sessions), figure(r)})
	}
	return p
}

// loads draws a figure over what was answered, one line a server.
func loads(p chart.Plot, reports []report, figure func(report) float64) chart.Plot {
	for _, r := range reports {
		if y := figure(r); y > 0 {
			p.Extend(label(r), [2]float64{r.MessagesPerSecond, y})
		}
	}
	return p
}

// losses draws the 99th percentile over the loss.
func losses(p chart.Plot, reports []report) chart.Plot {
	for _, r := range reports {
		p.Extend(label(r), [2]float64{r.Loss, r.P99 / 1e3})
	}
	return p
}

// label tells lifeline's carriers apart.
func label(r report) string {
	if strings.HasPrefix(r.Server, "lifeline") && !strings.HasSuffix(r.Server, r.Carrier) {
		return r.Server + " " + r.Carrier
	}
	return r.Server
}
