// SPDX-License-Identifier: MIT

package gen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/framework"
)

type (
	mode uint8
	move struct{ A int }
	// Move is another one than move.
	Move struct{ B int }
	// Stocks has fields that are called as what C# uses.
	Stocks struct {
		Array  [4]byte
		Arrays [2]string
		Mode   mode
		Moves  []move
		Last   Move
		Done   Nothing
	}
	// Nothing is another one than the client's, which stands for struct{}.
	Nothing struct{ Two [2]struct{} }
)

// TestNamesThatCodeCantHave: each type, field, value and route has one that compiles.
func TestNamesThatCodeCantHave(t *testing.T) {
	t.Setenv(writing, "1")
	dir := t.TempDir()
	var f failures
	register := func(srv *framework.Server) {
		pushes[Stocks](srv)
		for _, route := range []string{"i", "a\u2028b", "__proto__"} {
			framework.OnMessage(srv, route, func(*framework.Player, string) {})
		}
	}
	check := func(values map[string]mode) {
		f = nil
		Check(&f, server(t, register), filepath.Join(dir, "messages.lock"), Enum(values),
			CSharp{Path: filepath.Join(dir, "m.cs"), Namespace: "Game"}, TypeScript{Path: filepath.Join(dir, "m.ts")})
	}
	values := map[string]mode{"1v1": 0, "red": 1, "Red": 2, "capture-the-flag": 3}
	if check(values); len(f) > 0 {
		t.Fatal(f)
	}
	for file, want := range map[string][]string{
		"m.cs": {
			"_1v1 = 0,", "\tRed = 1,", "Red_ = 2,", "Capture_the_flag = 3,", "class GenMove :", "class GenMove_ :",
			"global::System.Array.Clear(Array, 0, 4);", "class IMessage_ : IMessage", "class NothingMessage : IMessage", "/// <summary>Message a b: string</summary>", "Arrays = global::Lifeline.Arrays.Of<string>(2, ",
		},
		"m.ts": {`["__proto__"]: str`, `"1v1": 0, red: 1, Red: 2, "capture-the-flag": 3`, "interface GenMove {", "interface GenMove_ {"},
	} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if n := strings.Count(string(b), w); n != 1 {
				t.Errorf("%s: %q is there %d times", file, w, n)
			}
		}
	}
	if check(values); len(f) > 0 {
		t.Errorf("the lock is not what was written: %v", f)
	}
	for _, name := range []string{"deep blue", "a=b", ""} { // they would break the lock
		if check(map[string]mode{name: 1}); len(f) != 1 || !strings.Contains(f[0], "enum gen.mode") {
			t.Errorf("a value %q: %v", name, f)
		}
	}
}

// TestTwoEnumsOfOneName: they are refused like two structs, whichever comes first.
func TestTwoEnumsOfOneName(t *testing.T) {
	type Mode uint8
	first, named := Enum(map[string]Mode{"Duel": 0}), pushes[Mode]
	var second EnumValues
	var other, structure func(*framework.Server)
	{
		type Mode int64
		second = Enum(map[string]Mode{"Far": 1 << 40})
		other = func(srv *framework.Server) { framework.OnMessage(srv, "mode", func(*framework.Player, Mode) {}) }
	}
	{
		type Mode struct{ A int }
		structure = func(srv *framework.Server) { framework.OnMessage(srv, "mode", func(*framework.Player, Mode) {}) }
	}
	for name, register := range map[string]func(*framework.Server){
		"two enums":      func(srv *framework.Server) { named(srv); other(srv) },
		"after a struct": func(srv *framework.Server) { structure(srv); named(srv) },
		"before a struct": func(srv *framework.Server) {
			framework.OnMessage(srv, "a", func(*framework.Player, Mode) {})
			structure(srv)
		},
	} {
		_, err := schemaOf(server(t, register), []EnumValues{first, second})
		if err == nil || !strings.Contains(err.Error(), "two types are called gen.Mode") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
