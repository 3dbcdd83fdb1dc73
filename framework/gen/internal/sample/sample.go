// SPDX-License-Identifier: MIT

// Package sample has messages with everything that can be generated, and random
// values of any type, for the tests of all clients.
package sample

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// Team is an enum.
type Team uint16

// The teams.
const (
	Red  Team = 0
	Blue Team = 1
	Far  Team = 60_000
)

// Wide is an enum of numbers that a float64 does not hold.
type Wide int64

// Teams and Wides name the values.
var (
	Teams = map[string]Team{"Red": Red, "Blue": Blue, "Far": Far}
	Wides = map[string]Wide{"Least": -1 << 63, "None": 0, "Most": 1<<63 - 1}
)

type (
	// Base is embedded.
	Base struct {
		ID   int
		Name string
	}
	// Numbers has a field of each kind.
	Numbers struct {
		Bool  bool
		Int   int
		I8    int8
		I16   int16
		I32   int32
		I64   int64
		Uint  uint
		U8    uint8
		U16   uint16
		U32   uint32
		U64   uint64
		F32   float32
		F64   float64
		Text  string
		Bytes []byte
		Raw   codec.Raw
		At    time.Time
		For   time.Duration
		Team  Team
		Wide  Wide
		Key   [16]byte
	}
	// Options has what may be absent.
	Options struct {
		Bool  *bool
		Int   *int
		F32   *float32
		Text  *string
		Team  *Team
		At    *time.Time
		Base  *Base
		List  *[]Base
		Named *map[string]int
		Array *[2]int
		Wide  *int64
	}
	// Parts has lists, arrays and maps of everything.
	Parts struct {
		Ints   []int
		Texts  []string
		Blobs  [][]byte
		Raws   []codec.Raw
		Times  []time.Time
		Teams  []Team
		Bases  []Base
		Some   []*Base
		Maybe  []*int
		Grid   [][]float32
		Grids  []map[string][]Base
		Three  [3]float32
		Bases2 [2]Base
		Deep   [2][3]Base
		Blobs2 [2][]byte
		Some2  [2]*Base
		Lists  [2][]int
		Keys   [][4]byte
		Named  map[string]int
		ByID   map[int32]Base
		ByTeam map[Team][]string
		Big    map[uint64]*Base
		Flags  map[int8]map[string]bool
	}
	// Tree contains itself.
	Tree struct {
		Value int
		Left  *Tree
		Kids  []Tree
		Named map[string]Tree
		Other *Forest
	}
	// Forest contains what contains it.
	Forest struct{ Trees []Tree }
	// Hero embeds, and has fields whose names mean something elsewhere.
	Hero struct {
		Base
		*Position
		Read, Write, Clear bool
		Hero               string
		Constructor        int
		URLPath            string
		Type               string
		PlayerID           uint32
		Skipped            int `msgpack:"-"`
	}
	// Position is embedded by a pointer.
	Position struct{ X, Y float64 }
	// Reader is called as something that the generated code uses.
	Reader struct{ Map, Date Pair[int] }
	// Pair is generic.
	Pair[T any] struct{ A, B T }
	// Empty has no fields yet.
	Empty struct{}
)

// Register gives a server routes of all kinds.
func Register(srv *framework.Server) {
	framework.OnMessage(srv, "numbers", func(*framework.Player, Numbers) {})
	framework.OnRequest(srv, "options?", func(_ *framework.Player, q Options) (Parts, error) { return Parts{}, nil })
	framework.OnRequest(srv, "nothing", func(*framework.Player, struct{}) (struct{}, error) { return struct{}{}, nil })
	framework.OnRaw(srv, "raw", func(_ *framework.Player, _, dst []byte) ([]byte, error) { return dst, nil })
	framework.SendsAs[Tree](srv, framework.DeliverAll, "tree", "numbers")
	framework.SendsAs[Hero](srv, framework.DeliverNewest, "the hero")
	framework.SendsAs[Reader](srv, framework.DeliverAll, "reader")
	framework.SendsAs[map[string]uint8](srv, framework.DeliverAll, `"quoted" $ ö`)
	framework.Asks[Empty, []Team](srv, "teams?")
}
