// SPDX-License-Identifier: MIT

package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// prelude is what the code of every page may use without importing it.
const prelude = `package guide

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/agones"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/client/swarm"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/cluster/nats"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/match"
	"github.com/lifeline-go/lifeline/framework/social"
)

var (
	_ context.Context
	_ = json.Marshal
	_ = errors.As
	_ = fmt.Sprint
	_ = log.Print
	_ = slices.Values[[]int]
	_ sync.Mutex
	_ atomic.Bool
	_ *testing.T
	_ time.Duration
	_ framework.Config
	_ client.Config
	_ swarm.Config
	_ cluster.Config
	_ nats.Config
	_ agones.Config
	_ os.Signal
	_ = signal.Ignore
	_ syscall.Errno
	_ gametest.Options
	_ match.Config
	_ social.PartyConfig
)

`

var block = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestEveryCodeBlock compiles the code of each page as one package, runs the
// tests among it, and wants it as gofmt writes it.
func TestEveryCodeBlock(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("pages %q: %v", pages, err)
	}
	// Inside the module, where imports resolve, but out of sight of ./...
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("testdata", "guides")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.RemoveAll(dir)
		_ = os.Remove("testdata") // if it was ours alone
	})
	vet, run := []string{"vet"}, []string{"test", "-count=1"}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		code := prelude
		for i, m := range block.FindAllStringSubmatch(string(text), -1) {
			code += fmt.Sprintf("// Block %d of %s.\n\n%s\n", i+1, page, m[1])
		}
		if code == prelude {
			t.Errorf("%s has no code", page)
			continue
		}
		sub := filepath.Join(dir, strings.TrimSuffix(page, ".md"))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, "guide_test.go"), []byte(strings.TrimRight(code, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(code, "\nfunc Test") {
			run = append(run, "./"+sub)
		} else {
			vet = append(vet, "./"+sub)
		}
	}
	for _, args := range [][]string{vet, run} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}
	if out, err := exec.Command("gofmt", "-d", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v\n%s", err, out)
	}
}
