// SPDX-License-Identifier: MIT

package codec_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Fields sees what is written: SPEC 5.2.
func TestFields(t *testing.T) {
	type Base struct{ A, B int }
	type all struct {
		_ int
		*Base
		Left   int `msgpack:"-"`
		hidden int
		C      time.Time
		D      codec.Raw `msgpack:"another"`
	}
	_ = all{}.hidden
	fields, err := codec.Fields(reflect.TypeFor[all]())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
		if got := reflect.TypeFor[all]().FieldByIndex(f.Index); got.Name != f.Name {
			t.Errorf("index of %s is that of %s", f.Name, got.Name)
		}
	}
	if want := []string{"A", "B", "C", "D"}; !reflect.DeepEqual(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	b, err := codec.AppendBody(nil, all{Base: &Base{}})
	if err != nil || b[0] != 0x90|byte(len(fields)) {
		t.Errorf("%x, %v", b, err)
	}
	if !codec.EncodesItself(reflect.TypeFor[time.Time]()) || codec.EncodesItself(reflect.TypeFor[all]()) {
		t.Error("EncodesItself")
	}
}
