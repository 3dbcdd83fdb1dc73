// SPDX-License-Identifier: MIT

package docs_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lifeline-go/lifeline/"

// library is what the code of every page may use without importing it. A page imports what it
// uses: NATS is not linked into each of them.
var library = []string{
	"context", "encoding/json", "errors", "fmt",
	module + "framework", module + "framework/agones", module + "framework/client", module + "framework/client/swarm",
	module + "framework/cluster", module + "framework/cluster/nats", module + "framework/gametest",
	module + "framework/match", module + "framework/social",
	"log", "os", "os/signal", "slices", "sync", "sync/atomic", "syscall", "testing", "time",
}

var block = regexp.MustCompile("(?s)```go\n(.*?)```")

// guides is inside the module, where imports resolve, but out of sight of ./... It stays, and its
// names are the same each time: what was compiled, vetted and tested before is not done again.
const guides = "testdata/guides"

// TestEveryCodeBlock compiles the code of each page as one package, runs the
// tests among it, and wants it as gofmt writes it.
func TestEveryCodeBlock(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("pages %q: %v", pages, err)
	}
	vet, run := []string{"vet", "./" + write(t, "readme", "main.go", server(t))}, []string{"test", "-vet=off"}
	for _, page := range pages {
		code := blocks(t, page)
		pkg := "./" + write(t, strings.TrimSuffix(page, ".md"), "guide_test.go", code)
		vet = append(vet, pkg)
		if strings.Contains(code, "\nfunc Test") {
			run = append(run, pkg)
		}
	}
	for _, args := range [][]string{vet, run} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}
}

// blocks is the code of a page, as a package.
func blocks(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	for i, m := range block.FindAllStringSubmatch(string(text), -1) {
		code += fmt.Sprintf("\n// Block %d of %s.\n\n%s", i+1, page, m[1])
	}
	if code == "" {
		t.Errorf("%s has no code", page)
	}
	file, err := parser.ParseFile(token.NewFileSet(), page, "package guide\n"+code, 0)
	if err != nil {
		t.Fatal(err)
	}
	imports := ""
	for _, pkg := range library {
		if slices.ContainsFunc(file.Unresolved, func(name *ast.Ident) bool { return name.Name == path.Base(pkg) }) {
			imports += fmt.Sprintf("\t%q\n", pkg)
		}
	}
	return fmt.Sprintf("package guide\n\nimport (\n%s)\n%s", imports, code)
}

// server is the server of the README as it stands there. It is short.
func server(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := block.FindSubmatch(readme)
	if found == nil {
		t.Fatal("the README has no Go code")
	}
	lines := 0
	for line := range strings.SplitSeq(string(found[1]), "\n") {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines > 40 {
		t.Errorf("the README's server has %d lines, more than 40", lines)
	}
	return string(found[1])
}

// write makes a package of one file, and returns its directory. The code is as gofmt writes it.
func write(t *testing.T, name, file, code string) string {
	t.Helper()
	text, err := format.Source([]byte(code))
	if err != nil || string(text) != code {
		t.Errorf("%s is not as gofmt writes it: %v\n%s", name, err, code)
	}
	dir := path.Join(guides, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, file)
	if old, err := os.ReadFile(at); err == nil && bytes.Equal(old, text) {
		return dir // perhaps a run beside this one reads it
	}
	if err := os.WriteFile(at, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
