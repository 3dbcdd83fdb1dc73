// SPDX-License-Identifier: MIT

package framework_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lifeline-go/lifeline/"

// mayImport is the house: which package may import which other of ours. What
// is not listed may import anything of ours.
var mayImport = map[string][]string{
	"codec":                        {},
	"transport/internal/backend":   {},
	"transport/internal/poll":      {"transport/internal/backend"},
	"transport/internal/linked":    {},
	"transport/internal/strangers": {"transport/internal/linked"},
	"transport/memnet":             {"transport/internal/backend"},
	"session":                      {"codec"},
	"transport/kcp":                {"codec"},
	"transport/seal":               {"transport/internal/strangers"},
	"transport":                    {"codec", "transport/internal/backend", "transport/internal/linked", "transport/internal/poll", "transport/internal/strangers", "transport/kcp", "transport/seal"},
	"framework/internal/admin":     {},
	"framework/internal/filter":    {},
	"framework/internal/jobs":      {},
	"framework/internal/lifecycle": {},
	"framework/internal/limit":     {},
	"framework/internal/logs":      {},
	"framework/internal/mailbox":   {"codec", "framework/internal/limit", "session"},
	"framework/internal/pending":   {"codec"},
	"framework/internal/putoff":    {},
	"framework/internal/roomlist":  {"framework/internal/filter"},
	"framework/internal/seats":     {},
	"framework/internal/tags":      {},
	"framework/internal/watchdog":  {"framework/internal/logs"},
	"framework": {
		"codec", "session", "transport",
		"framework/internal/admin",
		"framework/internal/filter",
		"framework/internal/jobs",
		"framework/internal/lifecycle",
		"framework/internal/limit",
		"framework/internal/logs",
		"framework/internal/mailbox",
		"framework/internal/pending",
		"framework/internal/roomlist",
		"framework/internal/seats",
		"framework/internal/tags",
		"framework/internal/watchdog",
	},
	"framework/client":             {"codec", "framework/internal/pending", "session", "transport/kcp", "transport/seal"},
	"framework/client/swarm":       {"framework/client", "framework/client/swarm/chart"},
	"framework/client/swarm/chart": {},
	"framework/gen":                {"codec", "framework"},
	"framework/match":              {"framework", "framework/internal/putoff", "framework/match/queue"},
	"framework/match/queue":        {},
	"framework/social":             {"framework", "framework/internal/putoff"},
	"framework/gametest":           {"codec", "framework", "framework/client", "framework/cluster", "transport/kcptest", "transport/memnet"},
	"framework/metrics":            {"framework", "session", "transport"},

	"framework/cluster/internal/core":  {"codec", "session"},
	"framework/cluster/internal/fan":   {"framework/cluster/internal/core"},
	"framework/cluster/internal/pipe":  {"framework/cluster/internal/core"},
	"framework/cluster/internal/place": {"codec", "framework/cluster/internal/core", "session"},
	"framework/cluster/internal/sim":   {},
	"framework/cluster/nats":           {"framework/cluster"},
}

// pure packages neither wait, lock, nor read a clock or a socket.
var pure = []string{
	"session",
	"framework/cluster/internal/core",
	"framework/cluster/internal/fan",
	"framework/cluster/internal/pipe",
	"framework/cluster/internal/place",
	"framework/cluster/internal/sim",
	"framework/internal/lifecycle",
	"framework/internal/filter",
	"framework/internal/roomlist",
	"framework/internal/seats",
	"framework/match/queue",
	"transport/internal/linked",
	"transport/internal/strangers",
	"transport/kcp",
	"transport/seal",
}

func TestImportsPointInward(t *testing.T) {
	eachFile(t, func(pkg, path string, imports []string, _ string) {
		allowed, listed := mayImport[pkg]
		for _, imp := range imports {
			if ours, ok := strings.CutPrefix(imp, module); ok && listed && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s: %s may import only %v", path, ours, pkg, allowed)
			}
			if slices.Contains(pure, pkg) && (imp == "net" || imp == "sync" || imp == "sync/atomic" || imp == "context" || imp == "os") && !(pkg == "codec" && imp == "sync") {
				t.Errorf("%s imports %s: %s is pure", path, imp, pkg)
			}
		}
	})
}

// TestWhatLinksNATS: its 11 MB are only in programs that join many servers by NATS.
func TestWhatLinksNATS(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", "{{.ImportPath}} {{.Deps}}", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all, seen := 0, false
	for line := range strings.Lines(string(out)) {
		pkg, deps, _ := strings.Cut(line, " ")
		rel, links := strings.TrimPrefix(pkg, module), strings.Contains(deps, "github.com/nats-io/")
		all++
		switch {
		case rel == "framework/cluster/nats":
			seen = links
		case links && !strings.HasPrefix(rel, "examples/room") && !strings.HasPrefix(rel, "bench"):
			t.Errorf("%s links NATS", rel)
		}
	}
	if !seen || all < 20 {
		t.Errorf("of %d packages, the test sees that framework/cluster/nats links NATS: %v", all, seen)
	}
}

// clockFiles are the only ones that read the time, one a package.
var clockFiles = []string{"transport/loop.go", "transport/memnet/network.go", "framework/clock.go", "framework/client/clock.go", "framework/client/swarm/clock.go", "framework/match/clock.go", "framework/social/clock.go", "framework/gametest/gametest.go", "transport/kcptest/kcptest.go"}

var (
	readsClock = regexp.MustCompile(`\btime\.(Now|Since|Until|Tick)\b`)
	waits      = regexp.MustCompile(`\btime\.(Sleep|After|AfterFunc|NewTimer|NewTicker)\b`)
)

// TestTimeIsReadInOnePlaceAPackage keeps every decision on the time it is
// handed, so that it can be tested on a virtual clock. Pure packages do not wait
// either.
func TestTimeIsReadInOnePlaceAPackage(t *testing.T) {
	eachFile(t, func(pkg, path string, _ []string, text string) {
		_, listed := mayImport[pkg]
		if !listed || slices.Contains(clockFiles, path) {
			return
		}
		if found := readsClock.FindString(text); found != "" {
			t.Errorf("%s calls %s: the clock of its package is in one of %v", path, found, clockFiles)
		}
		if found := waits.FindString(text); found != "" && slices.Contains(pure, pkg) {
			t.Errorf("%s calls %s: %s is pure", path, found, pkg)
		}
	})
}

// eachPath visits every file of the repository that is not hidden, of another project, or
// data of a test.
func eachPath(visit func(path string) error) error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		return visit(path)
	})
}

// eachFile visits every non-test Go file of the module.
func eachFile(t *testing.T, visit func(pkg, path string, imports []string, text string)) {
	t.Helper()
	n := 0
	err := eachPath(func(path string) error {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, imp := range f.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			imports = append(imports, p)
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		visit(filepath.ToSlash(filepath.Dir(rel)), rel, imports, string(text))
		n++
		return nil
	})
	if err != nil || n < 20 {
		t.Fatalf("visited %d files: %v", n, err)
	}
}
