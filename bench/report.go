// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// figures is what one run measures. README.md says what each field means.
type figures struct {
	Messages           float64 `json:"messages"`
	MessagesPerSecond  float64 `json:"messages_per_second"`
	ServerCPUPerMsg    float64 `json:"server_cpu_us_per_message"`
	P50                float64 `json:"p50_us"`
	P99                float64 `json:"p99_us"`
	AllocsPerMessage   float64 `json:"allocs_per_message"`
	Goroutines         float64 `json:"server_goroutines"`
	RSS                float64 `json:"server_rss_bytes"`
	RSSPerSession      float64 `json:"rss_bytes_per_session"`
	RSSPerSessionGC    float64 `json:"rss_bytes_per_session_after_gc,omitzero"`
	HeapPerSession     float64 `json:"heap_bytes_per_session,omitzero"`
	IdleCPU            float64 `json:"idle_cpu_percent,omitzero"`
	HeartbeatsPerSec   float64 `json:"heartbeats_per_second,omitzero"`
	ServerCPU          float64 `json:"server_cpu_percent"`
	ClientCPU          float64 `json:"client_cpu_percent"`
	OthersCPU          float64 `json:"others_cpu_percent"`
	DatagramsInPerMsg  float64 `json:"server_datagrams_in_per_message"`
	DatagramsOutPerMsg float64 `json:"server_datagrams_out_per_message"`
	WakeUpsPerMsg      float64 `json:"server_wakeups_per_message"`
	Retransmits        float64 `json:"client_retransmits"`
	Ramp               float64 `json:"ramp_seconds"`
	Repeated           float64 `json:"openings_repeated,omitzero"`
	Steal              float64 `json:"steal_percent"`

	// curve: the players' own part, and what is left without it
	WriteLateP50 float64 `json:"written_late_p50_us,omitzero"`
	WriteLateP99 float64 `json:"written_late_p99_us,omitzero"`
	ReadLateP50  float64 `json:"read_late_p50_us,omitzero"`
	ReadLateP99  float64 `json:"read_late_p99_us,omitzero"`
	ApartP50     float64 `json:"written_to_arrived_p50_us,omitzero"`
	ApartP99     float64 `json:"written_to_arrived_p99_us,omitzero"`
	ApartP999    float64 `json:"written_to_arrived_p999_us,omitzero"`

	// overload
	Peak           float64 `json:"peak_per_second,omitzero"`
	PeakServerCPU  float64 `json:"peak_server_cpu_percent,omitzero"`
	PeakCPUPerMsg  float64 `json:"peak_server_cpu_us_per_message,omitzero"`
	Goodput        float64 `json:"goodput_per_second,omitzero"`
	GoodputShare   float64 `json:"goodput_over_peak,omitzero"`
	RefusedShare   float64 `json:"refused_by_clients_share,omitzero"`
	Recovered      float64 `json:"recovered_ms,omitzero"`
	ResentByServer float64 `json:"server_retransmits,omitzero"`

	// loss; echo and curve
	P90        float64 `json:"p90_us,omitzero"`
	P999       float64 `json:"p999_us,omitzero"`
	Longest    float64 `json:"longest_us,omitzero"`
	Unanswered float64 `json:"unanswered,omitzero"`

	UpPackets   float64 `json:"packets_up_per_message,omitzero"`
	UpBytes     float64 `json:"bytes_up_per_message,omitzero"`
	DownPackets float64 `json:"packets_down_per_message,omitzero"`
	DownBytes   float64 `json:"bytes_down_per_message,omitzero"`

	Bulk float64 `json:"bulk_mbit_per_second,omitzero"`

	// broadcast, mixed
	Deliveries     float64 `json:"deliveries,omitzero"`
	DeliveriesPerS float64 `json:"deliveries_per_second,omitzero"`
	CPUPerDelivery float64 `json:"server_cpu_us_per_delivery,omitzero"`
	DeliveryP50    float64 `json:"delivery_p50_us,omitzero"`
	DeliveryP99    float64 `json:"delivery_p99_us,omitzero"`
	DeliveryMax    float64 `json:"delivery_max_us,omitzero"`
	AllocsPerDeliv float64 `json:"allocs_per_delivery,omitzero"`
	TickOverrunMs  float64 `json:"tick_overrun_max_ms,omitzero"`
	Cuts           float64 `json:"links_cut,omitzero"`

	// connect
	LinksPerSec     float64 `json:"links_per_second,omitzero"`
	CPUPerLink      float64 `json:"server_cpu_us_per_link,omitzero"`
	LinksPerCore    float64 `json:"links_per_second_and_server_core,omitzero"`
	DatagramsInLink float64 `json:"server_datagrams_in_per_link,omitzero"`
	CookiesPerLink  float64 `json:"server_cookies_per_link,omitzero"`
	LoginP50        float64 `json:"login_p50_ms,omitzero"`
	LoginP99        float64 `json:"login_p99_ms,omitzero"`

	// cluster push
	SenderCPUPerMsg    float64 `json:"sender_cpu_us_per_message,omitzero"`
	ReceiverCPUPerMsg  float64 `json:"receiver_cpu_us_per_message,omitzero"`
	DirectoryCPUPerMsg float64 `json:"directory_cpu_us_per_message,omitzero"`
	Backpressure       float64 `json:"backpressure,omitzero"`

	// detect
	DetectFirst    float64 `json:"detect_first_ms,omitzero"`
	DetectP50      float64 `json:"detect_p50_ms,omitzero"`
	DetectLast     float64 `json:"detect_last_ms,omitzero"`
	PromisedFirst  float64 `json:"promised_first_ms,omitzero"`
	PromisedLast   float64 `json:"promised_last_ms,omitzero"`
	Detected       float64 `json:"detected,omitzero"`
	FalsePositives float64 `json:"false_positives,omitzero"`
	LossyMinutes   float64 `json:"lossy_session_minutes,omitzero"`

	// storm
	ResumesPerSec float64 `json:"resumes_per_second,omitzero"`
	ResumeP50     float64 `json:"resume_p50_ms,omitzero"`
	ResumeP99     float64 `json:"resume_p99_ms,omitzero"`
	ResumeSlowest float64 `json:"resume_slowest_ms,omitzero"`
	CPUPerResume  float64 `json:"server_cpu_us_per_resume,omitzero"`
	DatagramsIn   float64 `json:"server_datagrams_in_per_resume,omitzero"`
	DatagramsOut  float64 `json:"server_datagrams_out_per_resume,omitzero"`
	CaughtUp      float64 `json:"caught_up_ms,omitzero"`
	NumberedUp    float64 `json:"numbered_up,omitzero"`
	NumberedDown  float64 `json:"numbered_down,omitzero"`
	MessagesLost  float64 `json:"messages_lost,omitzero"`
	MessagesTwice float64 `json:"messages_twice,omitzero"`
	StreamsReset  float64 `json:"streams_reset,omitzero"`
}

// report is what is printed: the median of the runs, their extremes, and each.
type report struct {
	Server   string  `json:"server"`
	Carrier  string  `json:"carrier"`
	Sessions int     `json:"sessions"`
	Sockets  int     `json:"sockets"`
	Size     int     `json:"size,omitempty"`
	Window   int     `json:"window,omitempty"`
	Loss     float64 `json:"loss_percent,omitempty"`
	Rate     float64 `json:"asked_per_second,omitempty"`
	figures
	Errors  load.Counts   `json:"errors"` // of all runs
	Runs    int           `json:"runs"`
	Seconds float64       `json:"seconds_per_run,omitzero"`
	Lowest  figures       `json:"lowest"`
	Highest figures       `json:"highest"`
	Each    []figures     `json:"each"`
	Over    *ratio        `json:"lifeline_over_it,omitempty"` // if this is another server
	Curve   []chart.Point `json:"curve,omitempty"`            // of the last run
	Machine machine       `json:"machine"`
}

type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Pinned bool   `json:"pinned"` // server and client have a core of their own
}

// add takes the figures of one more run.
func (r *report) add(f figures, errs load.Counts) {
	for i := range reflect.TypeFor[figures]().NumField() {
		v := reflect.ValueOf(&f).Elem().Field(i)
		v.SetFloat(round(v.Float()))
	}
	r.Each = append(r.Each, f)
	r.Runs = len(r.Each)
	r.Errors.Add(errs)
	for i := range reflect.TypeFor[figures]().NumField() {
		var all []float64
		for j := range r.Each {
			all = append(all, reflect.ValueOf(r.Each[j]).Field(i).Float())
		}
		slices.Sort(all)
		set := func(f *figures, v float64) { reflect.ValueOf(f).Elem().Field(i).SetFloat(v) }
		set(&r.Lowest, all[0])
		set(&r.Highest, all[len(all)-1])
		set(&r.figures, round(median(all)))
	}
}

// round leaves no more digits than mean anything.
func round(v float64) float64 {
	digits := 3 - math.Floor(math.Log10(math.Abs(v)))
	if v == 0 || digits < 0 {
		return math.Round(v)
	}
	scale := math.Pow(10, digits)
	return math.Round(v*scale) / scale
}

// median returns the middle of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}

// spread is the middle and the ends of a figure over the runs.
type spread struct {
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

func (s spread) String() string {
	return fmt.Sprintf("%s [%s - %s]", chart.Short(s.Median), chart.Short(s.Lowest), chart.Short(s.Highest))
}

func spreadOf(all []float64) spread {
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	return spread{round(median(all)), round(all[0]), round(all[len(all)-1])}
}

// ratio compares lifeline with another server run by run, as the runs alternate
// and neighbors had the same machine. Below 1 lifeline has less of it.
type ratio struct {
	ServerCPUPerMsg   spread `json:"server_cpu_us_per_message"`
	MessagesPerSecond spread `json:"messages_per_second"`
	P50               spread `json:"p50_us"`
	P99               spread `json:"p99_us"`
	IdleCPU           spread `json:"idle_cpu_percent,omitzero"`
}

// over is one figure over another one's, run by run.
func over(ours, theirs *report, field, other func(*figures) float64) spread {
	var all []float64
	for i := range min(len(ours.Each), len(theirs.Each)) {
		if d := other(&theirs.Each[i]); d > 0 { // a collapsed run may have nothing
			all = append(all, field(&ours.Each[i])/d)
		}
	}
	return spreadOf(all)
}

func compare(ours, theirs *report) *ratio {
	pairs := func(field func(*figures) float64) spread { return over(ours, theirs, field, field) }
	return &ratio{
		ServerCPUPerMsg:   pairs(func(f *figures) float64 { return f.ServerCPUPerMsg }),
		MessagesPerSecond: pairs(func(f *figures) float64 { return f.MessagesPerSecond }),
		P50:               pairs(func(f *figures) float64 { return f.P50 }),
		P99:               pairs(func(f *figures) float64 { return f.P99 }),
		IdleCPU:           pairs(func(f *figures) float64 { return f.IdleCPU }),
	}
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table prints reports side by side.
func table(out io.Writer, reports ...*report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	r := reports[0]
	fmt.Fprintf(w, "%d sessions on %d sockets, %s; %d runs of %.3g s; median [lowest - highest]\n", r.Sessions, r.Sockets, r.Carrier, r.Runs, r.Seconds)
	fmt.Fprintf(w, "%s, %d cores, Linux %s, %s\n\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go)
	head := []string{""}
	for _, r := range reports {
		head = append(head, r.Server)
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	t := reflect.TypeFor[figures]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		line := []string{name}
		zero := true
		for _, r := range reports {
			v := func(f *figures) float64 { return reflect.ValueOf(*f).Field(i).Float() }
			zero = zero && v(&r.Highest) == 0
			line = append(line, fmt.Sprintf("%s [%s - %s]", chart.Short(v(&r.figures)), chart.Short(v(&r.Lowest)), chart.Short(v(&r.Highest))))
		}
		if !zero {
			fmt.Fprintln(w, strings.Join(line, "\t"))
		}
	}
	line := []string{"errors"}
	for _, r := range reports {
		line = append(line, fmt.Sprintf("%+v", r.Errors))
	}
	fmt.Fprintln(w, strings.Join(line, "\t"))
	return w.Flush()
}
