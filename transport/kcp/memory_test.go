// SPDX-License-Identifier: MIT

package kcp

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// idleBudget is what an idle conversation may hold, all in all (8-byte words).
const idleBudget = 80

// TestMain checks that idleTraffic was not written to.
func TestMain(m *testing.M) {
	code := m.Run()
	if idleTraffic != (traffic{due: Never, probeAt: Never}) {
		fmt.Printf("what all share was written to: %+v\n", idleTraffic)
		code = 1
	}
	os.Exit(code)
}

func TestIdleConnIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > idleBudget {
		t.Errorf("a Conn has %d bytes, want %d at most", n, idleBudget)
	}
	if n := unsafe.Sizeof(traffic{}); n > 144 {
		t.Errorf("traffic has %d bytes, which rounds up to 160 or more", n)
	}
	if n := unsafe.Sizeof(segment{}); n > 64 {
		t.Errorf("a segment has %d bytes, want one cache line", n)
	}
	const conns = 10_000
	cfg := &Config{Pool: NewPool(0)}
	before := liveHeap()
	servers := make([]Conn, conns)
	y := newCycle()
	for i := range servers {
		servers[i].Init(uint32(i), cfg)
		for n := range uint32(3) {
			y.run(&servers[i], time.Second, n)
		}
		feedAck(t, &servers[i], 3)
		expect(t, "idle", show(flush(&servers[i], time.Second)...), "")
	}
	per := float64(liveHeap()-before) / conns
	t.Logf("%d idle conversations hold %.0f bytes each", conns, per)
	if per > idleBudget+1 { // and what is pooled
		t.Errorf("an idle conversation holds %.0f bytes, want %d at most", per, idleBudget)
	}
	runtime.KeepAlive(servers)
}

// feedAck acknowledges all before una.
func feedAck(t *testing.T, c *Conn, una uint32) {
	feed(t, c, time.Second, build(header{conv: c.conv, cmd: cmdWindowTell, wnd: 99, una: una}))
}

func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestCycleAllocatesNothing(t *testing.T) {
	c := new(Conn)
	c.Init(7, &Config{Pool: NewPool(0)})
	y, n := newCycle(), uint32(0)
	if got := testing.AllocsPerRun(1000, func() {
		y.run(c, time.Duration(n)*ms, n)
		n++
	}); got != 0 {
		t.Errorf("a cycle allocates %v times", got)
	}
}

// TestPure: time and bytes come from the caller, so nothing here needs them.
func TestPure(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := fs.ReadFile(os.DirFS("."), name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			switch path := strings.Trim(imp.Path.Value, `"`); path {
			case "encoding/binary", "errors", "math", "time", "unsafe":
			default:
				t.Errorf("%s imports %s", name, path)
			}
		}
		if strings.Contains(string(src), "time.Now()") {
			t.Errorf("%s reads the clock", name)
		}
	}
}
