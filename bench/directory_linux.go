// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server/stree"

	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// The directory with as many entries as a large game has: what a look-up costs, and what an
// entry does.

func (o *options) clusterDirectoryFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.rates, "entries", "100000,1000000", "entries, several with commas")
	fs.StringVar(&o.bus, "store", "tree", "tree: the tree of keys of a NATS server, and nothing else; memory or file: a bucket of such a server")
	fs.IntVar(&o.Options.Size, "size", 120, "bytes of a value")
	fs.IntVar(&o.lookups, "lookups", 3000, "times that each thing is looked up")
	fs.DurationVar(&o.settle, "settle", 0, "pause after the last entry: a file's caches are empty after 2 min")
}

// holding is what a directory of so many entries costs.
type holding struct {
	Store   string   `json:"store"`
	Entries int      `json:"entries"`
	Fill    float64  `json:"fill_us_per_entry"` // as many at once as there may be
	Heap    float64  `json:"heap_bytes_per_entry"`
	Disk    float64  `json:"disk_bytes_per_entry,omitzero"`
	RSS     int64    `json:"rss_bytes"`
	Lookups []lookup `json:"lookups"`
}

// lookup is how long something took, one after the other.
type lookup struct {
	What  string  `json:"what"`
	Times int     `json:"times"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
}

// maxDirectory bounds the memory of this process.
const maxDirectory = 16 << 30

// clusterDirectory fills directories and looks things up.
func clusterDirectory(o *options) error {
	sizes, err := numbers("entries", o.rates)
	if err != nil {
		return err
	}
	if o.lookups < 3 {
		return errors.New("-lookups must be 3 or more")
	}
	once := map[string]func(*options, int) (*holding, error){"tree": treeOnce, "memory": bucketOnce, "file": bucketOnce}[o.bus]
	if once == nil {
		return fmt.Errorf("-store %s: want tree, memory or file", o.bus)
	}
	r := struct {
		Course  string     `json:"course"`
		Rows    []*holding `json:"rows"`
		Machine machine    `json:"machine"`
	}{"directory", nil, o.machine()}
	for _, n := range sizes {
		if n < 1000 {
			return fmt.Errorf("-entries %v: want 1000 or more", n)
		}
		h, err := once(o, int(n))
		if err != nil {
			return fmt.Errorf("%v entries: %w", n, err)
		}
		r.Rows = append(r.Rows, h)
		debug.FreeOSMemory()
	}
	if o.json {
		return writeJSON(o.out, &r)
	}
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	for _, h := range r.Rows {
		fmt.Fprintf(w, "%s, %d entries: %.2f us to fill, %.0f B of heap, %.0f B of disk an entry, RSS %.2f GB\n", h.Store, h.Entries, h.Fill, h.Heap, h.Disk, float64(h.RSS)/1e9)
		for _, l := range h.Lookups {
			fmt.Fprintf(w, "  %s\tp50 %s us\tp99 %s us\t%d times\n", l.What, chart.Short(l.P50), chart.Short(l.P99), l.Times)
		}
	}
	return w.Flush()
}

// prefix begins the subjects of sessions.
const prefix = "$KV.lifeline_sessions."

// userKey is the key of a user's sessions: 48 bits, as package cluster has them.
func userKey(i int) string { return fmt.Sprintf("%012x", mix(uint64(i))>>16) }

// A probe is a user whose sessions have keys of their own, which a wildcard finds: there are two
// of each, one in the older half of the directory and one in the newer. No session of a game
// has such keys.
func probeKey(i, session int) string { return fmt.Sprintf("%s.%016x", userKey(-1-i), session) }

const probes = 500

// mix spreads numbers as a hash does.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// eachKey calls f for the keys of n users, and of all probes, in the order they come.
func eachKey(n int, f func(key string) error) error {
	half := (n + 1) / 2
	every := max(half/probes, 1)
	for i := range n {
		if err := f(userKey(i)); err != nil {
			return err
		}
		if p := i % half / every; i%half%every == 0 && p < probes {
			if err := f(probeKey(p, i/half)); err != nil {
				return err
			}
		}
	}
	return nil
}

// measureLookups times f often, but not for longer than a while.
func measureLookups(what string, times int, f func(i int) error) (lookup, error) {
	var all []time.Duration
	r := rand.New(rand.NewPCG(1, 1))
	const most = 10 * time.Second
	for began := time.Now(); times > 0 && time.Since(began) < most; times-- {
		at := r.Int()
		from := time.Now()
		if err := f(at); err != nil {
			return lookup{}, fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, time.Since(from))
	}
	slices.Sort(all)
	n := len(all)
	return lookup{what, n, round(us(all[n/2])), round(us(all[n*99/100]))}, nil
}

// liveHeap is what is left after two collections: the second one frees what waits in pools.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// place is what a NATS server keeps of a key beside the message.
type place struct {
	messages    uint64
	first, last uint32 // blocks of the file
}

// treeOnce fills the tree in which a NATS server finds the messages of a subject.
func treeOnce(o *options, n int) (*holding, error) {
	before, began := liveHeap(), time.Now()
	t := stree.NewSubjectTree[place]()
	filled := 0
	err := eachKey(n, func(key string) error {
		t.Insert([]byte(prefix+key), place{1, uint32(filled), uint32(filled)})
		if filled++; filled%1_000_000 == 0 {
			return checkMemory()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	h := &holding{Store: o.bus, Entries: n, Fill: round(us(time.Since(began)) / float64(n))}
	h.Heap = round(float64(liveHeap()-before) / float64(filled))
	if h.RSS, err = proc.RSS(os.Getpid()); err != nil {
		return nil, err
	}
	found := func(want bool, subject string) error {
		if _, ok := t.Find([]byte(subject)); ok != want {
			return fmt.Errorf("%s is there: %v", subject, ok)
		}
		return nil
	}
	matches := func(want int, filter string) error {
		n := 0
		t.Match([]byte(filter), func([]byte, *place) { n++ })
		if n != want {
			return fmt.Errorf("%s has %d matches, want %d", filter, n, want)
		}
		return nil
	}
	for _, q := range []struct {
		what  string
		times int
		f     func(int) error
	}{
		{"a key", 30 * o.lookups, func(i int) error { return found(true, prefix+userKey(i%n)) }},
		{"a key that is not there", 30 * o.lookups, func(i int) error { return found(false, prefix+"absent."+userKey(i%n)) }},
		{"a user's keys by a wildcard at the end", 30 * o.lookups, func(i int) error { return matches(2, prefix+userKey(-1-i%probes)+".*") }},
		{"a session's key by a wildcard in the middle", min(3, 10_000_000/n), func(int) error { return matches(probes, prefix+"*."+fmt.Sprintf("%016x", 1)) }},
	} {
		if q.times == 0 { // it looks at all there is, and takes as long
			continue
		}
		l, err := measureLookups(q.what, q.times, q.f)
		if err != nil {
			return nil, err
		}
		h.Lookups = append(h.Lookups, l)
	}
	runtime.KeepAlive(t)
	return h, nil
}

// checkMemory ends a run that needs more than there may be.
func checkMemory() error {
	switch rss, err := proc.RSS(os.Getpid()); {
	case err != nil:
		return err
	case rss > maxDirectory:
		return fmt.Errorf("%d bytes of memory, %d are the most", rss, int64(maxDirectory))
	}
	return nil
}

// bucketOnce fills a bucket of a NATS server, and asks it as framework/cluster/nats does.
func bucketOnce(o *options, n int) (h *holding, err error) {
	before, began := liveHeap(), time.Now()
	b, err := openBucket(o.bus)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	filled, value := 0, make([]byte, o.Options.Size)
	err = eachKey(n, func(key string) error {
		if filled++; filled%100_000 == 0 {
			if err := checkMemory(); err != nil {
				return err
			}
		}
		return b.fill(key, value)
	})
	if err == nil {
		err = b.filled()
	}
	if err != nil {
		return nil, err
	}
	h = &holding{Store: o.bus, Entries: n, Fill: round(us(time.Since(began)) / float64(n))}
	time.Sleep(o.settle)
	h.Heap = round(float64(liveHeap()-before) / float64(filled))
	if h.RSS, err = proc.RSS(os.Getpid()); err != nil {
		return nil, err
	}
	if h.Disk, err = b.disk(); err != nil {
		return nil, err
	}
	h.Disk = round(h.Disk / float64(filled))
	h.Lookups, err = b.lookUp(o.lookups, n, value)
	return h, err
}

// lookUp times what servers ask of the directory, and what they would with other keys.
func (b *bucket) lookUp(times, n int, value []byte) (all []lookup, err error) {
	revs, keys := map[string]uint64{}, []string(nil)
	get := func(i int) error {
		key := userKey(i % n)
		rev, err := b.get(map[string]any{"last_by_subj": prefix + key})
		revs[key], keys = rev, append(keys, key)
		return err
	}
	for _, q := range []struct {
		what  string
		times int
		f     func(int) error
	}{
		{"get an entry", times, get},
		{"get an entry of the last hundredth", times, func(i int) error { return get(n - 1 - i%(n/100)) }},
		{"put an entry", times, func(i int) (err error) {
			key := keys[i%len(keys)]
			revs[key], err = b.put(key, value, revs[key])
			return err
		}},
		{"a user's last entry by a wildcard, last_by_subj", times / 3, func(i int) error {
			_, err := b.get(map[string]any{"last_by_subj": prefix + userKey(-1-i%probes) + ".*"})
			return err
		}},
		{"a user's first entry by a wildcard, next_by_subj", times / 3, func(i int) error {
			_, err := b.get(map[string]any{"seq": 1, "next_by_subj": prefix + userKey(-1-i%probes) + ".*"})
			return err
		}},
	} {
		l, err := measureLookups(q.what, q.times, q.f)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// get asks the server of a stream for one message.
func (b *bucket) get(q map[string]any) (rev uint64, err error) {
	ask, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := b.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+b.stream, ask)
	if err != nil {
		return 0, err
	}
	var at struct {
		Message struct{ Seq uint64 }
		Error   *struct{ Description string }
	}
	if err := json.Unmarshal(m.Data, &at); err != nil || at.Error != nil {
		return 0, fmt.Errorf("%s: %s, %w", ask, m.Data, err)
	}
	return at.Message.Seq, nil
}
