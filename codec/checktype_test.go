// SPDX-License-Identifier: MIT

package codec

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type (
	stamped struct {
		time.Time
		By string
	}
	stampedPtr struct {
		*time.Time
		By string
	}
	deepStamped struct {
		stamped
		Note string
	}
	addressed struct {
		netip.Addr
		Port uint16
	}
	onlyTime  struct{ time.Time }
	silentTag struct {
		time.Time
		By string `msgpack:"-"`
	}
	ownText struct {
		time.Time
		By string
	}
	ownTextPtr struct {
		time.Time
		By string
	}
	named struct {
		At time.Time
		By string
	}
	hidden  struct{ a, b int }
	withFun struct {
		Name string
		Do   func()
	}
	tree struct {
		Name     string
		Children []tree
		Next     *tree
	}
	generic[T any] struct {
		time.Time
		V T
	}
	plainBase struct{ X, Y int }
	withBase  struct {
		plainBase
		Z int
	}
)

func (ownText) MarshalText() ([]byte, error)        { return nil, nil }
func (ownText) MarshalBinary() ([]byte, error)      { return nil, nil }
func (*ownText) UnmarshalText([]byte) error         { return nil }
func (*ownText) UnmarshalBinary([]byte) error       { return nil }
func (*ownTextPtr) MarshalText() ([]byte, error)    { return nil, nil }
func (*ownTextPtr) MarshalBinary() ([]byte, error)  { return nil, nil }
func (*ownTextPtr) UnmarshalText([]byte) error      { return nil }
func (*ownTextPtr) UnmarshalBinary([]byte) error    { return nil }
func (g generic[T]) MarshalBinary() ([]byte, error) { return nil, nil }

func TestCheckTypeFindsWhatWouldBeLost(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string // a part of the error; empty: fine
	}{
		{stamped{}, "would lose field By"},
		{&stamped{}, "would lose field By"},
		{[]stamped{}, "would lose field By"},
		{map[string]stamped{}, "would lose field By"},
		{struct{ In stamped }{}, "field In of"},
		{stampedPtr{}, "would lose field By"},
		{deepStamped{}, "would lose field Note"},
		{addressed{}, "embedded Addr"},
		{hidden{1, 2}, "no exported field"},
		{withFun{}, "field Do of"},
		{make(chan int), "can't be sent"},
		{struct{ C complex128 }{}, "can't be sent"},
		{onlyTime{}, ""},
		{silentTag{}, ""},
		{ownText{}, ""},
		{ownTextPtr{}, ""},
		{named{}, ""},
		{tree{}, ""},
		{generic[int]{}, ""},
		{withBase{}, ""},
		{struct{}{}, ""},
		{time.Now(), ""},
		{netip.Addr{}, ""},
		{Raw{}, ""},
		{[16]byte{}, ""},
		{map[string]any{}, ""},
		{nil, ""},
	} {
		err := CheckType(reflect.TypeOf(c.v))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%T: %v, want %q", c.v, err, c.want)
		}
	}
}

// A value is refused where it is encoded as well, whoever registered what.
func TestAppendBodyRefusesWhatWouldBeLost(t *testing.T) {
	for range 2 { // the second time from memory
		if _, err := AppendBody(nil, &stamped{By: "ann"}); err == nil || !strings.Contains(err.Error(), "would lose field By") {
			t.Errorf("AppendBody: %v", err)
		}
		if _, err := AppendBody(nil, &named{By: "ann"}); err != nil {
			t.Errorf("AppendBody: %v", err)
		}
	}
}
