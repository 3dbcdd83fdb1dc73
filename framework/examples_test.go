// SPDX-License-Identifier: MIT

package framework_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// gamePackages are what a game imports, and so what has examples.
var gamePackages = []string{".", "client", "client/swarm", "gametest", "match", "social"}

// noCapability are exported functions that need no example: what others call, and what
// tells no more than its name.
var noCapability = []string{
	"Error", "String", "Unwrap", "Context", "ID", "RTT", "Name", "Len", "Key", "Now", "Err", "Done", "Of", "Types", "AdminAddr", "Trace", // tell
	"Take", "Put", // of Store: a database's
	"ParseID", "CodeName", // read what the inspector shows
	"Busy", "WriteHTML", "WriteText", // of a swarm's Report: its Main calls them
}

// TestEveryCapabilityHasAnExample: what a game can call is called in an Example, in a
// guide, or in a program of examples/.
func TestEveryCapabilityHasAnExample(t *testing.T) {
	if testing.Short() {
		t.Skip("reads every example")
	}
	shown := showing(t)
	if len(shown) < 200 {
		t.Fatalf("examples show only %d names", len(shown))
	}
	functions := 0
	for _, pkg := range gamePackages {
		for _, name := range exportedFunctions(t, pkg) {
			functions++
			if !shown[name] && !slices.Contains(noCapability, name) {
				t.Errorf("framework/%s: nothing shows how to call %s: no Example, guide or program does", pkg, name)
			}
		}
	}
	if functions < 150 {
		t.Errorf("only %d functions were found", functions)
	}
}

// exportedFunctions are the functions of a package, and the methods of its exported types.
func exportedFunctions(t *testing.T, pkg string) []string {
	t.Helper()
	names := map[string]bool{}
	paths, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Name.IsExported() && (f.Recv == nil || ofExportedType(f.Recv.List[0].Type)) {
				names[f.Name.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func ofExportedType(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StarExpr:
		return ofExportedType(e.X)
	case *ast.IndexExpr:
		return ofExportedType(e.X)
	case *ast.IndexListExpr:
		return ofExportedType(e.X)
	case *ast.Ident:
		return e.IsExported()
	}
	return false
}

var (
	called  = regexp.MustCompile(`\.([A-Z]\w*)\b`)
	goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")
	inline  = regexp.MustCompile("`(?:\\w+\\.)?([A-Z]\\w*)(?:\\(.*?\\))?`") // `Lead`, `p.Loss(0.1)`
)

// showing are the names that examples, guides and programs take from another package.
func showing(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	show := func(code string) {
		for _, m := range called.FindAllStringSubmatch(code, -1) {
			names[m[1]] = true
		}
	}
	err := eachPath(func(path string) error {
		slash := filepath.ToSlash(path)
		example := strings.HasSuffix(path, "example_test.go")
		program := strings.HasPrefix(slash, "../examples/") && strings.HasSuffix(path, ".go")
		guide := strings.HasSuffix(path, ".md")
		if !example && !program && !guide {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !guide {
			show(string(text))
			return nil
		}
		for _, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			show(m[1])
		}
		for _, m := range inline.FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestProgramsRefuseWhatIsNoFlag: package flag stops at a word that is none, and all that
// follows it would be left out without a word.
func TestProgramsRefuseWhatIsNoFlag(t *testing.T) {
	programs := 0
	err := eachPath(func(path string) error {
		if !strings.HasPrefix(filepath.ToSlash(path), "../examples/") || filepath.Base(path) != "main.go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, after, parses := strings.Cut(string(text), "\tflag.Parse()\n"); parses {
			if programs++; !strings.HasPrefix(after, "\tif flag.NArg() > 0 {") {
				t.Errorf("%s: what follows a word that is no flag is not read", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if programs < 9 {
		t.Errorf("only %d programs were found", programs)
	}
}
