// SPDX-License-Identifier: MIT

package framework_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// A fact that stands in several places has one that rules: a table of a SPEC.md.
// These tests compare the others with it.

// section returns what stands in a file between begin and the next end.
func section(t *testing.T, path, begin, end string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), begin)
	text, _, ok2 := strings.Cut(text, end)
	if !ok || !ok2 {
		t.Fatalf("%s has nothing between %q and %q", path, begin, end)
	}
	return text
}

// pairsIn returns what an expression with two groups finds: a name and a number,
// in either order.
func pairsIn(text, expr string) map[string]uint32 {
	all := map[string]uint32{}
	for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(text, -1) {
		name, number := m[1], m[2]
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			all[number] = uint32(n)
		} else if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			all[name] = uint32(n)
		}
	}
	return all
}

// identifier turns SLOW READER into SlowReader.
func identifier(name string) string {
	words := strings.Fields(strings.ToLower(name))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// identifiers are the names of a table in a SPEC.md, as a program writes them.
func identifiers(table map[string]uint32) map[string]uint32 {
	all := map[string]uint32{}
	for name, n := range table {
		all[identifier(name)] = n
	}
	return all
}

func same(t *testing.T, where string, got, want map[string]uint32) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if n, ok := got[name]; !ok || n != want[name] {
			t.Errorf("%s: %s is %d (there: %v), want %d", where, name, n, ok, want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s has %s, which the table has not", where, name)
		}
	}
}

// codeWords are the words that String has for a number: all but "code 7".
func codeWords(names func(n uint32) string) map[uint32]string {
	all := map[uint32]string{}
	for n := range uint32(1000) {
		if s := names(n); !strings.HasPrefix(s, "code ") {
			all[n] = s
		}
	}
	return all
}

// aliases returns the constants of a Go file that stand for those of a package.
func aliases(text, prefix, of string) map[string]string {
	all := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t`+prefix+`(\w+)\s+= `+of+`(\w+)`).FindAllStringSubmatch(text, -1) {
		all[m[1]] = m[2]
	}
	return all
}

const gameCode = "Game" // the first of the game's own: no row of the table

// TestCloseCodes: session/SPEC.md 9 rules.
func TestCloseCodes(t *testing.T) {
	spec := identifiers(pairsIn(section(t, "../session/SPEC.md", "\n## 9. Close codes", "\n## "), `(?m)^\| (\d+) \| ([A-Z ]+) \|`))
	if len(spec) < 20 {
		t.Fatalf("the table has only %v", spec)
	}
	last := slices.Max(slices.Collect(maps.Values(spec)))
	if framework.CountedCodes != int(last)+1 {
		t.Errorf("Stats counts the codes below %d apart, want those up to %d", framework.CountedCodes, last)
	}
	named := codeWords(func(n uint32) string { return session.Code(n).String() })
	for name, n := range spec {
		c := session.Code(n)
		if c.Resumable() != (n < 100) || c.Final() != (n >= 200) || c.Ends() != (n >= 100) {
			t.Errorf("%s (%d): resumable %v, final %v, ends a session %v", name, n, c.Resumable(), c.Final(), c.Ends())
		}
		if named[n] == "" {
			t.Errorf("%s (%d) has no words in Code.String", name, n)
		}
	}
	if len(named) != len(spec) {
		t.Errorf("Code.String has words for %d codes, the table has %d", len(named), len(spec))
	}
	withGame := maps.Clone(spec)
	withGame[gameCode] = uint32(session.Game)
	same(t, "session/code.go", pairsIn(section(t, "../session/code.go", "const (", "\n)"), `(?m)^\t(\w+)\s+Code = (\d+)`), withGame)
	same(t, "client/js/src/code.ts", pairsIn(section(t, "client/js/src/code.ts", "export const Code = {", "}"), `(\w+): (\d+)`), withGame)
	same(t, "client/csharp", pairsIn(section(t, "client/csharp/Runtime/Control.cs", "static class CloseCode", "\n\t}"), `const int (\w+) = (\d+)`), withGame)
	script := pairsIn(section(t, "client/js/src/code.ts", "const words", "}"), `(\d+): "([^"]+)"`)
	for text, n := range script {
		if named[n] != text {
			t.Errorf("code.ts calls %d %q, Go %q", n, text, named[n])
		}
	}
	if len(script) != len(spec) {
		t.Errorf("code.ts has words for %d codes, the table has %d", len(script), len(spec))
	}
	words := regexp.MustCompile(`case (\w+): return "([^"]+)"`).FindAllStringSubmatch(section(t, "client/csharp/Runtime/Control.cs", "string InWords", "\n\t\t}"), -1)
	for _, w := range words {
		if n := spec[w[1]]; named[n] != w[2] {
			t.Errorf("Control.cs calls %s %q, Go %q", w[1], w[2], named[n])
		}
	}
	if len(words) != len(spec) {
		t.Errorf("Control.cs has words for %d codes, the table has %d", len(words), len(spec))
	}
	for _, path := range []string{"names.go", "client/names.go"} {
		sameAliases(t, path, aliases(section(t, path, "// The close codes", "\n)"), "Code", `session\.`), withGame)
	}
}

// TestRoomCodes: reason.go rules why a player has left a room. CodeRoomLost is of the clients alone.
func TestRoomCodes(t *testing.T) {
	want := pairsIn(section(t, "reason.go", "const (", "\n)"), `(?m)^\tRoom(\w+)\s+session\.Code = (\d+)`)
	if len(want) < 4 {
		t.Fatalf("reason.go has only %v", want)
	}
	want["Lost"] = 304
	same(t, "client/names.go", pairsIn(section(t, "client/names.go", "// The close codes", "\n)"), `(?m)^\tCodeRoom(\w+)\s+Code = (\d+)`), want)
	same(t, "client/js/src/rooms.ts", pairsIn(section(t, "client/js/src/rooms.ts", "export const RoomCode = {", "}"), `(\w+): (\d+)`), want)
	same(t, "client/csharp", pairsIn(section(t, "client/csharp/Runtime/Room.cs", "static class RoomCode", "\n\t}"), `const int (\w+) = (\d+)`), want)
}

// sameAliases checks that there is one name for each row of the table.
func sameAliases(t *testing.T, path string, got map[string]string, want map[string]uint32) {
	t.Helper()
	for name := range want {
		if got[name] != name {
			t.Errorf("%s: %s stands for %q", path, name, got[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s has %d names, the table %d", path, len(got), len(want))
	}
}

// TestErrorCodes: codec/SPEC.md 6.3 rules.
func TestErrorCodes(t *testing.T) {
	spec := identifiers(pairsIn(section(t, "../codec/SPEC.md", "\n### 6.3", "\n## "), `(?m)^\| (\d+) \| ([A-Z ]+) \|`))
	if len(spec) < 9 {
		t.Fatalf("the table has only %v", spec)
	}
	named := codeWords(func(n uint32) string { return codec.ErrorCode(n).String() })
	for name, n := range spec {
		if identifier(named[n]) != name {
			t.Errorf("%d is %q, want %s", n, named[n], name)
		}
	}
	if len(named) != len(spec) {
		t.Errorf("ErrorCode.String has words for %d codes, the table has %d", len(named), len(spec))
	}
	same(t, "codec/error.go", pairsIn(section(t, "../codec/error.go", "const (", "\n)"), `(?m)^\tError(\w+)\s+ErrorCode = (\d+)`), spec)
	same(t, "client/csharp", pairsIn(section(t, "client/csharp/Runtime/ClientConfig.cs", "class LifelineException", "\n\t}"), `const long (\w+) = (\d+)`), spec)
	for _, path := range []string{"names.go", "client/names.go"} {
		sameAliases(t, path, aliases(section(t, path, "// The codes of failed requests", "\n)"), "Error", `codec\.Error`), spec)
	}
}

// TestCarriers: the names of transport.Carrier are the schemes of addresses.
func TestCarriers(t *testing.T) {
	var want []string
	for _, c := range transport.Carriers() {
		want = append(want, c.String())
	}
	slices.Sort(want)
	if len(want) < 4 {
		t.Fatalf("only %v", want)
	}
	for path, list := range map[string]string{
		"client/address.go":                  section(t, "client/address.go", "var carrierNames =", "\n"),
		"conform/wire.go":                    quoted(section(t, "conform/wire.go", "var carriers =", "\n}")),
		"../bench/run_linux.go":              section(t, "../bench/run_linux.go", "var carriers =", "\n"),
		"client/csharp/Runtime/Addresses.cs": section(t, "client/csharp/Runtime/Addresses.cs", "begins with none of ", ";"),
	} {
		got := regexp.MustCompile(`[a-z]+(-[a-z]+)?`).FindAllString(strings.TrimPrefix(strings.TrimSpace(list), "[...]string"), -1)
		got = slices.DeleteFunc(got, func(s string) bool { return s == "string" || s == "wss" })
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the carriers %v, want %v", path, got, want)
		}
	}
	if got := aliases(section(t, "names.go", "// The carriers.", "\n)"), "", `transport\.`); len(got) != len(want) {
		t.Errorf("names.go has the carriers %v, want %v", got, want)
	}
}

// quoted are the strings in a piece of code.
func quoted(code string) string {
	return strings.Join(regexp.MustCompile(`"[^"]*"`).FindAllString(code, -1), " ")
}

// TestRoomCallbacks: room.go rules what a room type may have. One that callbacks.go does
// not list is never missed where its signature is wrong.
func TestRoomCallbacks(t *testing.T) {
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t\w+Handler interface\{ (On\w+)\((.*?)\)( error| \(.*?\))? \}`).FindAllStringSubmatch(section(t, "room.go", "\ntype (\n", "\n)"), -1) {
		var types []string
		for p := range strings.SplitSeq(m[2], ", ") {
			types = append(types, p[strings.LastIndexByte(p, ' ')+1:])
		}
		want[m[1]] = "func(" + strings.Join(types, ", ") + ")" + m[3]
	}
	if len(want) < 10 {
		t.Fatalf("room.go has only %v", want)
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`\{"(On\w+)", reflect\.TypeFor\[(.*)\]\(\)\}`).FindAllStringSubmatch(section(t, "callbacks.go", "var callbacks =", "\n}"), -1) {
		got[m[1]] = m[2]
	}
	if !maps.Equal(got, want) {
		t.Errorf("callbacks.go has %v, room.go %v", got, want)
	}
	guide, err := os.ReadFile("docs/rooms.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !strings.Contains(string(guide), name) {
			t.Errorf("docs/rooms.md does not say that there is %s", name)
		}
	}
}

// TestRoomRoutes: every client joins and leaves rooms by the same routes, and knows
// none that the server does not.
func TestRoomRoutes(t *testing.T) {
	want := []string{framework.RouteJoin, framework.RouteLeave}
	known := append([]string{framework.RouteWatch, framework.RouteJoined, framework.RouteLeft, framework.RouteRooms,
		framework.RouteList, framework.RouteFollow, framework.RouteUnfollow, framework.RouteListed}, want...)
	for _, files := range []string{"client/*.go", "client/js/src/*.ts", "client/csharp/Runtime/*.cs"} {
		paths, err := filepath.Glob(files)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d files, %v", files, len(paths), err)
		}
		var got []string
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for _, m := range regexp.MustCompile(`"(room\.[a-z]+)"`).FindAllStringSubmatch(string(text), -1) {
				if got = append(got, m[1]); !slices.Contains(known, m[1]) {
					t.Errorf("%s has the route %s, which the server has not", path, m[1])
				}
			}
		}
		for _, route := range want {
			if !slices.Contains(got, route) {
				t.Errorf("%s lacks the route %s", files, route)
			}
		}
	}
}

// TestGamesImportFrameworkAndClientOnly: what a game needs is reachable from
// there, as the README and the examples show.
func TestGamesImportFrameworkAndClientOnly(t *testing.T) {
	mayImport := []string{"framework", "framework/client", "framework/client/swarm", "framework/cluster", "framework/cluster/nats", "framework/gametest", "framework/gen", "framework/match", "framework/metrics", "framework/social"}
	check := func(path, imported string) {
		ours, ok := strings.CutPrefix(imported, module)
		if ok && !strings.HasPrefix(ours, "examples/") && !slices.Contains(mayImport, ours) {
			t.Errorf("%s imports %s, want only %v", path, ours, mayImport)
		}
	}
	files := 0
	eachFile(t, func(pkg, path string, imports []string, _ string) {
		if path == "examples/echo/relay.go" {
			return // no game: it breaks packets for the conformance of clients
		}
		if strings.HasPrefix(pkg, "examples/") {
			files++
			for _, imp := range imports {
				check(path, imp)
			}
		}
	})
	for _, m := range regexp.MustCompile(`"(`+module+`[a-z/]+)"`).FindAllStringSubmatch(section(t, "../README.md", "```go\n", "```"), -1) {
		files++
		check("README.md", m[1])
	}
	if files < 5 {
		t.Errorf("only %d files", files)
	}
}
