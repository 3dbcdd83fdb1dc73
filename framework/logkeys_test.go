// SPDX-License-Identifier: MIT

package framework_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogKeysAreThoseOfTheTable: OPERATIONS.md promises the keys of the log, so
// no line has another, and none of the promised is gone.
func TestLogKeysAreThoseOfTheTable(t *testing.T) {
	text, err := os.ReadFile("OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| key | what |\n| --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	promised := map[string]bool{} // and whether it is used
	for line := range strings.SplitSeq(table, "\n") {
		keys, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !ok {
			t.Fatalf("a row without a key: %q", line)
		}
		for key := range strings.SplitSeq(keys, ", ") {
			promised[key] = false
		}
	}
	if len(promised) < 10 {
		t.Fatalf("the table has only %v", promised)
	}
	packages := []string{"framework", "framework/client", "framework/cluster", "framework/cluster/nats", "framework/gen", "framework/match", "framework/social", "transport", "transport/internal/poll"}
	eachFile(t, func(pkg, path string, _ []string, text string) {
		if !slices.Contains(packages, pkg) {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range logKeys(file) {
			if _, ok := promised[key]; !ok {
				t.Errorf("%s logs with the key %q, which OPERATIONS.md does not have", path, key)
				continue
			}
			promised[key] = true
		}
	})
	for key, used := range promised {
		if !used {
			t.Errorf("OPERATIONS.md promises the key %q, which no line has", key)
		}
	}
}

// attributesFrom is where the attributes begin among the arguments of what logs.
var attributesFrom = map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "Log": 3, "panicked": 3, "logLimited": 2, "With": 0}

// logger is what the receivers of slog's methods are called here.
var logger = regexp.MustCompile(`^(log|logger|Logger)$`)

// logKeys returns the keys of all attributes in a file.
func logKeys(file *ast.File) (keys []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, logs := attributesFrom[f.Sel.Name]
		switch {
		case name(f.X) == "slog" && len(call.Args) == 2: // slog.String and the like
			keys = append(keys, literals(call.Args[:1])...)
		case logs && (f.Sel.Name == "panicked" || f.Sel.Name == "logLimited" || logger.MatchString(name(f.X))):
			keys = append(keys, pairs(call.Args[min(from, len(call.Args)):])...)
		}
		return true
	})
	return keys
}

// name is the last name of a.b.c or a.b.c().
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.CallExpr:
		return name(e.Fun)
	}
	return ""
}

// pairs returns the keys of key, value, key, value...; attributes among them
// are found by themselves.
func pairs(args []ast.Expr) (keys []string) {
	for i := 0; i < len(args); i++ {
		if call, ok := args[i].(*ast.CallExpr); ok {
			if name(call.Fun) == "append" {
				keys = append(keys, pairs(call.Args[1:])...)
			}
			continue
		}
		if key := literals(args[i : i+1]); key != nil {
			keys = append(keys, key...)
			i++ // its value
		}
	}
	return keys
}

func literals(args []ast.Expr) (all []string) {
	for _, a := range args {
		if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, _ := strconv.Unquote(lit.Value)
			all = append(all, s)
		}
	}
	return all
}
