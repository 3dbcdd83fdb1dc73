// SPDX-License-Identifier: MIT

package gen

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// failures is a T that notes what fails.
type failures []string

func (f *failures) Helper() {}

func (f *failures) Errorf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

func server(t *testing.T, register func(*framework.Server)) *framework.Server {
	t.Helper()
	srv, err := framework.New(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	register(srv)
	return srv
}

// pushes registers one route.
func pushes[M any](srv *framework.Server) { framework.SendsAs[M](srv, framework.DeliverAll, "state") }

// locked writes a lock of one server and checks another one with it.
func locked(t *testing.T, before, after func(*framework.Server), options ...Option) failures {
	t.Helper()
	lock := filepath.Join(t.TempDir(), "messages.lock")
	t.Setenv(writing, "1")
	var f failures
	Check(&f, server(t, before), lock, options...)
	if len(f) > 0 {
		t.Fatal(f)
	}
	text, _ := os.ReadFile(lock)
	Check(&f, server(t, after), lock, options...)
	if again, _ := os.ReadFile(lock); len(f) > 0 && string(again) != string(text) {
		t.Errorf("a lock that is broken was written: %s", again)
	}
	return f
}

type (
	point  struct{ X, Y float32 }
	point3 struct{ X, Y, Z float32 }
	base   struct{ HP, Mana int }
)

// mistake is a change that a client of before would not notice, or not understand.
type mistake struct {
	name          string
	before, after func(*framework.Server)
	want          string // the sentence
}

func mistakes() []mistake {
	var list []mistake
	add := func(name string, before, after func(*framework.Server), want string) {
		list = append(list, mistake{name, before, after, want})
	}
	type Spot struct{ X, Y float32 }
	before := pushes[Spot]
	{
		type Spot struct{ Y, X float32 }
		add("swapped", before, pushes[Spot], "gen.Spot, field 1: was X:float32, is Y:float32: the fields have changed places: put them back in their order")
	}
	{
		type Spot struct{ Y float32 }
		add("removed", before, pushes[Spot], "gen.Spot, field 1: was X:float32, is Y:float32: put it back: a field that is not needed stays")
	}
	{
		type Spot struct{ X float32 }
		add("removed at the end", before, pushes[Spot], "gen.Spot, field 2: was Y:float32, is gone: put it back")
	}
	{
		type Spot struct {
			X float32 `msgpack:"-"`
			Y float32
		}
		add("left out by a tag", before, pushes[Spot], "gen.Spot, field 1: was X:float32, is Y:float32: put it back")
	}
	{
		type Spot struct {
			_ float32
			Y float32
		}
		add("replaced by _", before, pushes[Spot], "(an unexported field or _ holds no place)")
	}
	{
		type Spot struct {
			X float64
			Y float32
		}
		add("retyped", before, pushes[Spot], "gen.Spot, field 1: was X:float32, is X:float64: put it back, and append a field")
	}
	{
		type Spot struct{ X, Z, Y float32 }
		add("put in between", before, pushes[Spot], "gen.Spot, field 2: was Y:float32, is Z:float32: Z is new: append it at the end")
	}
	{
		type Spot struct{ X, Up float32 }
		add("renamed or replaced", before, pushes[Spot], "if it is the same under another name, rename it in the lock, too; if not, put Y back and append Up at the end")
	}
	{
		type Base struct{ HP, Mana int }
		type Unit struct {
			Base
			Name string
		}
		before := pushes[Unit]
		{
			type Base struct{ HP, Mana, Rage int }
			type Unit struct {
				Base
				Name string
			}
			add("an embedded struct grows", before, pushes[Unit], "gen.Unit, field 3: was Name:string, is Rage:int: Base, which is embedded, has grown")
		}
	}
	add("an array gets longer", pushes[[2]float32], pushes[[3]float32], "push state: was [2]float32, is [3]float32")
	add("bytes get longer", pushes[[16]byte], pushes[[20]byte], "push state: was [16]byte, is [20]byte")
	add("an array becomes a slice", pushes[[2]int], pushes[[]int], "push state: was [2]int, is []int")
	add("a number becomes a struct", pushes[uint64], pushes[Spot], "push state: was uint64, is gen.Spot: put it back, and append a field or add a route for what is new: a payload that may ever grow is a struct from the start")
	add("a narrower number", pushes[[]uint32], pushes[[]uint8], "push state: was []uint32, is bytes")
	add("a route is gone", pushes[Spot], func(srv *framework.Server) {}, "push state: was gen.Spot, is gone: if no client uses it any more, delete its line")
	ask := func(srv *framework.Server) {
		framework.OnRequest(srv, "look", func(*framework.Player, Spot) (base, error) { return base{}, nil })
	}
	add("another answer", ask, func(srv *framework.Server) {
		framework.OnRequest(srv, "look", func(*framework.Player, Spot) ([]base, error) { return nil, nil })
	}, "request look, answer: was gen.base, is []gen.base")
	add("a message becomes a request", func(srv *framework.Server) {
		framework.OnMessage(srv, "look", func(*framework.Player, Spot) {})
	}, ask, "message look: was gen.Spot, is gone")
	{
		type Spot struct {
			X codec.Raw
			Y float32
		}
		add("what was given up is used again", pushes[Spot], before, "gen.Spot, field 1: was X:raw, is X:float32")
	}
	return list
}

// TestSilentMistakes: what a client would read as something else, or not at all,
// fails with the place and what to do.
func TestSilentMistakes(t *testing.T) {
	for _, m := range mistakes() {
		t.Run(m.name, func(t *testing.T) {
			got := locked(t, m.before, m.after)
			if len(got) != 1 || !strings.Contains(got[0], m.want) {
				t.Errorf("got  %q\nwant %q", []string(got), m.want)
			}
		})
	}
}

// TestGoodChanges: what clients survive needs no more than a new lock.
func TestGoodChanges(t *testing.T) {
	type Spot struct {
		X  float32
		At time.Time
	}
	before := pushes[map[string][]*Spot]
	t.Run("the same", func(t *testing.T) {
		if f := locked(t, before, before); len(f) > 0 {
			t.Error(f)
		}
	})
	t.Run("appended", func(t *testing.T) {
		type Spot struct {
			X    float32
			At   time.Time
			More []point
		}
		if f := locked(t, before, pushes[map[string][]*Spot]); len(f) > 0 {
			t.Error(f)
		}
	})
	t.Run("a type renamed", func(t *testing.T) {
		type Place struct {
			X  float32
			At time.Time
		}
		if f := locked(t, before, pushes[map[string][]*Place]); len(f) > 0 {
			t.Error(f)
		}
	})
	t.Run("given up", func(t *testing.T) {
		type Spot struct {
			X  codec.Raw
			At time.Time
		}
		if f := locked(t, before, pushes[map[string][]*Spot]); len(f) > 0 {
			t.Error(f)
		}
	})
	t.Run("a route more", func(t *testing.T) {
		f := locked(t, before, func(srv *framework.Server) {
			before(srv)
			framework.Asks[Spot, bool](srv, "ready?", "a route")
		})
		if len(f) > 0 {
			t.Error(f)
		}
	})
}

// The framework's own routes are no messages of the game, whatever is configured;
// a game's are, whatever they are called.
func TestBuiltInRoutesAreLeftOut(t *testing.T) {
	srv, err := framework.New(framework.Config{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	room := framework.AddRoom(srv, "arena", func(r *framework.Room) *framework.Room { return r })
	framework.OnRoomMessage(room, "room.move", func(*framework.Room, *framework.Player, point) {})
	s, err := schemaOf(srv, nil)
	if err != nil || len(s.routes) != 1 || s.routes[0].name != "room.move" {
		t.Errorf("%v, %v", s, err)
	}
}

type team uint8

func TestEnums(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "messages.lock")
	check := func(values map[string]team) failures {
		var f failures
		Check(&f, server(t, pushes[map[string]team]), lock, Enum(values))
		return f
	}
	t.Setenv(writing, "1")
	if f := check(map[string]team{"Red": 0, "Blue": 1}); len(f) > 0 {
		t.Fatal(f)
	}
	if f := check(map[string]team{"Red": 0, "Blue": 1, "Green": 2}); len(f) > 0 {
		t.Error(f)
	}
	if f := check(map[string]team{"Red": 1, "Blue": 0, "Green": 2}); len(f) != 2 || !strings.Contains(f[0], "gen.team, value Red: was 0, is 1: put it back: old clients know it by its number") {
		t.Errorf("numbers swapped: %q", f)
	}
	if f := check(map[string]team{"Red": 0, "Green": 2}); len(f) != 1 || !strings.Contains(f[0], "gen.team, value Blue: was 1, is gone") {
		t.Errorf("a value gone: %q", f)
	}
	text, _ := os.ReadFile(lock)
	if want := "\npush state map[string]gen.team\nenum gen.team:uint8 Red=0 Blue=1 Green=2\n"; !strings.HasSuffix(string(text), want) {
		t.Errorf("lock %q", text)
	}
}

type bounded struct{ At time.Duration }

func (b bounded) MarshalText() ([]byte, error) { return nil, nil }

type hidden struct{ In struct{ X int } }

func TestRefusedTypes(t *testing.T) {
	for want, register := range map[string]func(*framework.Server){
		"push state: interface {} is an interface":                         pushes[any],
		"push state: gen.bounded encodes itself by its methods":            pushes[bounded],
		"push state: field In of gen.hidden: struct { X int } has no name": pushes[hidden],
		"*int: a pointer to a pointer":                                     pushes[**int],
		"map[float32]int: the keys of a map are strings or integers":       pushes[map[float32]int],
		"route state: Sends names no type: use framework.SendsAs":          func(s *framework.Server) { s.Sends(framework.DeliverAll, "state") },
	} {
		var f failures
		Check(&f, server(t, register), filepath.Join(t.TempDir(), "lock"))
		if len(f) != 1 || !strings.Contains(f[0], want) {
			t.Errorf("got %q\nwant %q", []string(f), want)
		}
	}
}

// Without LIFELINE_GEN nothing is written, and what is missing is told.
func TestCheckWritesNothingByItself(t *testing.T) {
	t.Setenv(writing, "")
	lock := filepath.Join(t.TempDir(), "messages.lock")
	var f failures
	Check(&f, server(t, pushes[point]), lock, TypeScript{Path: lock + ".ts"})
	if len(f) != 2 || !strings.Contains(f[0], "messages.lock is not what the routes say: run LIFELINE_GEN=1 go test") {
		t.Errorf("%q", []string(f))
	}
	if _, err := os.Stat(lock); err == nil {
		t.Error("written")
	}
	t.Setenv(writing, "1")
	f = nil
	Check(&f, server(t, pushes[point]), lock)
	t.Setenv(writing, "")
	text, _ := os.ReadFile(lock)
	if err := os.WriteFile(lock, []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	Check(&f, server(t, pushes[point]), lock) // as git writes it on Windows
	if len(f) > 0 {
		t.Errorf("%q", []string(f))
	}
	Check(&f, server(t, pushes[point3]), lock)
	if len(f) != 1 || !strings.Contains(f[0], `will be "push state gen.point3"`) {
		t.Errorf("%q", []string(f))
	}
}

// What was written is read as the same.
func TestLockIsReadAsWritten(t *testing.T) {
	type Node struct {
		Next  *Node
		Names map[string]map[int8][]time.Time
		Key   [16]byte
		Raw   codec.Raw
		Grid  [2][3]float64
	}
	srv := server(t, func(srv *framework.Server) {
		framework.SendsAs[Node](srv, framework.DeliverAll, "a b", "# ö", `"`, "`$")
		framework.OnRequest(srv, "empty", func(*framework.Player, struct{}) (codec.Raw, error) { return nil, nil })
	})
	s, err := schemaOf(srv, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(s.text())
	if err != nil || again.text() != s.text() {
		t.Errorf("%v\n%s\n%s", err, s.text(), again.text())
	}
	if d := compare(s, again, true); len(d) > 0 {
		t.Error(d)
	}
	for _, wrong := range []string{"x", "what ever", "type a.B X", "type a.B X:y", "push a", "push a int int", "request a int", "type a.B\ntype a.B", "push a [x]int", "push a [9", "push a map[int", "enum a.B:float", `push "\q" int`, "push a " + strings.Repeat("*", 99) + "int"} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("push a []a.B\ntype a.B X:int Y:*a.B\nenum c.D:uint8 X=1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		for _, appends := range []bool{false, true} {
			for _, d := range compare(s, s, appends) {
				t.Errorf("differs from itself: %+v", d)
			}
		}
	})
}
