// SPDX-License-Identifier: MIT

package metrics

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
)

// notExported are the numbers of Stats that have no metric of their own, and why.
var notExported = map[string]string{
	"sessions":              "the sum of lifeline_sessions",
	"ended":                 "the sum of lifeline_sessions_closed_total",
	"refused":               "the sum of lifeline_refusals_total",
	"transport.wake_ups":    "the sum of lifeline_loop_batches_total",
	"transport.tasks":       "the sum of lifeline_loop_tasks_total",
	"transport.lateness_ns": "the largest of lifeline_loop_lateness_seconds",
}

// values reads all families.
func values(st *framework.Stats) map[string]float64 {
	all := map[string]float64{}
	for _, f := range families {
		key := func(labels []string) string { return fmt.Sprint(f.name, labels) }
		if f.values != nil {
			f.values(st, func(v float64, labels ...string) { all[key(labels)] = v })
			continue
		}
		f.histograms(st, func(h transport.HistogramStats, unit float64, labels ...string) {
			all[key(labels)] = float64(h.Sum) * unit
		})
	}
	return all
}

// one returns Stats that have an entry in each map and list, all zero.
func one() *framework.Stats {
	st := &framework.Stats{
		Attached: map[string]int64{"tcp": 0}, Refusal: map[string]uint64{"busy": 0}, Full: map[string]uint64{"sessions": 0},
		Closes: map[string]uint64{"left": 0}, Lost: map[string]uint64{"timeout": 0}, Stuck: map[string]int64{"room": 0},
		Rooms: map[string]framework.RoomStats{"hall": {}},
		Parts: map[string]framework.PartStats{"match": {Now: map[string]int64{"waiting": 0}, Total: map[string]uint64{"entered": 0}}},
	}
	st.Cluster = &framework.ClusterStats{
		Servers: map[string]int64{"up": 0}, Sessions: map[string]int64{"held": 0},
		Claims: map[string]uint64{"granted": 0}, Finds: map[string]uint64{"taken": 0}, Parks: map[string]uint64{"parked": 0}, Asked: map[string]uint64{"evicted": 0},
		Rooms: map[string]int64{"open": 0}, RoomFinds: map[string]uint64{"here": 0}, RoomAsked: map[string]uint64{"seated": 0}, RoomLists: map[string]uint64{"told": 0},
		Directory: map[string]transport.HistogramStats{"get": {}}, Failures: map[string]uint64{"get": 0},
	}
	st.Transport.Carriers = map[string]transport.CarrierStats{"tcp": {}}
	st.Transport.Loops = []transport.LoopStats{{}}
	return st
}

// eachNumber calls f with the path in JSON of every number below v, and with
// what makes the number 7.
func eachNumber(v reflect.Value, path string, f func(path string, set func())) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[transport.HistogramStats]() {
			f(path, func() { v.FieldByName("Sum").SetInt(7) })
			return
		}
		for i := range v.NumField() {
			tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			eachNumber(v.Field(i), strings.TrimPrefix(path+"."+tag, "."), f)
		}
	case reflect.Pointer:
		eachNumber(v.Elem(), path, f)
	case reflect.Slice:
		eachNumber(v.Index(0), path, f)
	case reflect.Map:
		key := v.MapKeys()[0]
		entry := reflect.New(v.Type().Elem()).Elem()
		entry.Set(v.MapIndex(key))
		eachNumber(entry, path, func(path string, set func()) {
			f(path, func() { set(); v.SetMapIndex(key, entry) })
		})
	case reflect.Uint64:
		f(path, func() { v.SetUint(7) })
	default:
		f(path, func() { v.SetInt(7) })
	}
}

// TestEveryNumberOfStatsIsExported, or listed as not: a new field of any Stats
// fails here until it is in families. And each family reads some number.
func TestEveryNumberOfStatsIsExported(t *testing.T) {
	paths := []string{}
	eachNumber(reflect.ValueOf(one()).Elem(), "", func(path string, _ func()) { paths = append(paths, path) })
	if len(paths) < 80 {
		t.Fatalf("only %d numbers were found", len(paths))
	}
	zero, read := values(one()), map[string]bool{}
	for _, path := range paths {
		st := one()
		eachNumber(reflect.ValueOf(st).Elem(), "", func(at string, set func()) {
			if at == path {
				set()
			}
		})
		changed := []string{}
		for name, v := range values(st) {
			if v != zero[name] {
				changed = append(changed, name)
				family, _, _ := strings.Cut(name, "[")
				read[family] = true
			}
		}
		why, listed := notExported[path]
		switch {
		case listed && len(changed) > 0:
			t.Errorf("%s is %s, but changes %v", path, why, changed)
		case !listed && len(changed) != 1:
			t.Errorf("%s changes %v, want one metric of families", path, changed)
		}
	}
	for path := range notExported {
		if !slices.Contains(paths, path) {
			t.Errorf("notExported has %s, which there is not", path)
		}
	}
	seen := map[string]bool{}
	for _, f := range families {
		if seen[f.name] || !read[f.name] {
			t.Errorf("%s stands twice, or reads no number of Stats", f.name)
		}
		seen[f.name] = true
	}
}

// TestWhatIsAlarmedOnIsThereFromTheStart: a counter that begins with its first event does not rise
// with it, for what asks by how much it has risen.
func TestWhatIsAlarmedOnIsThereFromTheStart(t *testing.T) {
	text, err := os.ReadFile("../OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	there, name, n := values(&framework.Stats{Cluster: &framework.ClusterStats{}}), "", 0
	for _, m := range regexp.MustCompile("`(lifeline_\\w+)?(?:{\\w+=\"(\\w+)\"})?`").FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			name = m[1]
		}
		if m[2] == "" || !strings.HasSuffix(name, "_total") {
			continue
		}
		n++
		if _, ok := there[fmt.Sprint(name, []string{m[2]})]; !ok {
			t.Errorf("%s of %s is not there before the first one", m[2], name)
		}
	}
	if n < 10 {
		t.Errorf("only %d were found", n)
	}
}
