// SPDX-License-Identifier: MIT

package codec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// field is the place of one array element in a struct: SPEC 5.2.
type field struct {
	name  string
	index []int // more than one step through embedded structs
}

// find returns the field in v. If an embedded pointer on the way is nil, find
// allocates it if alloc is set, and else returns false.
func (f field) find(v reflect.Value, alloc bool) (reflect.Value, bool) {
	for i, n := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !alloc {
					return v, false
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v, true
}

// Fields lists the fields of a struct type as they stand on the wire (SPEC 5.2),
// each with its whole Index: embedded structs are replaced by their fields. t must
// pass CheckType. Safe to call from any goroutine.
func Fields(t reflect.Type) ([]reflect.StructField, error) {
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, fmt.Errorf("codec: %w", err)
	}
	list := make([]reflect.StructField, len(fields))
	for i, f := range fields {
		list[i] = t.FieldByIndex(f.index)
		list[i].Index = slices.Clone(f.index)
	}
	return list, nil
}

// EncodesItself reports whether methods of the type, or of a pointer to it, decide
// on its bytes. Of time.Time and Raw, whose bytes are known, it reports true, too.
func EncodesItself(t reflect.Type) bool { return codes(t) }

var fieldCache sync.Map // reflect.Type -> []field

// fieldsOf lists the fields of a struct in the order in which msgpack writes
// them: exported ones, without those tagged "-", embedded structs in place.
func fieldsOf(t reflect.Type) ([]field, error) {
	if fs, ok := fieldCache.Load(t); ok {
		return fs.([]field), nil
	}
	fs, err := listFields(t)
	if err != nil {
		return nil, err
	}
	fieldCache.Store(t, fs)
	return fs, nil
}

func listFields(t reflect.Type) ([]field, error) {
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
		options = "," + options + ","
		if name == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if strings.Contains(options, ",intern,") {
			return nil, fmt.Errorf("%s.%s: interned strings are not supported", t, f.Name)
		}
		if name == "" {
			name = f.Name
		}
		if f.Anonymous && !strings.Contains(options, ",noinline,") {
			inner, err := embedded(f.Type, list, strings.Contains(options, ",inline,"))
			if err != nil {
				return nil, err
			}
			if inner != nil {
				for _, g := range inner {
					list = append(list, field{g.name, append([]int{i}, g.index...)})
				}
				continue
			}
		}
		list = append(list, field{name, f.Index})
	}
	return list, nil
}

// embedded returns the fields that replace an embedded struct, or nil if the
// struct is an element of its own: it is no plain struct, or one of its names is
// taken. If forced (tagged inline), it leaves out only the names that are taken.
func embedded(t reflect.Type, taken []field, forced bool) ([]field, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || classOf(t) != isPlain {
		return nil, nil
	}
	all, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	inner := []field{}
	for _, g := range all {
		clash := false
		for _, f := range taken {
			clash = clash || f.name == g.name
		}
		switch {
		case !clash:
			inner = append(inner, g)
		case !forced:
			return nil, nil
		}
	}
	return inner, nil
}
