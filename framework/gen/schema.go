// SPDX-License-Identifier: MIT

package gen

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// kind is how a typ travels.
type kind uint8

const (
	isScalar kind = iota // name is one of scalars
	isEnum               // elem is the scalar
	isStruct
	isEmpty  // struct{}: nothing
	isList   // of elem
	isArray  // n times elem
	isBytes  // n bytes
	isMap    // of key and elem
	isOption // nil or elem
)

// scalars are the types without parts, by their names in messages.lock. bytes is
// []byte, raw is codec.Raw.
var scalars = map[string]bool{
	"bool": true, "string": true, "bytes": true, "raw": true, "time": true, "float32": true, "float64": true,
	"int": true, "int8": true, "int16": true, "int32": true, "int64": true,
	"uint": true, "uint8": true, "uint16": true, "uint32": true, "uint64": true,
}

// typ is a type as it travels. Those with a name are one object in a schema.
type typ struct {
	kind   kind
	name   string // of a scalar, of an enum or a struct as "swarm.Move"
	elem   *typ
	key    *typ
	n      int
	fields []field
	values []value
	from   reflect.Type // nil if it was read from a text
}

// field is an element of a struct's array.
type field struct {
	name  string
	typ   *typ
	embed string // the embedded struct that it comes from; unknown in a text
}

// value is a named value of an enum. All of them fit 64 bits as text.
type value struct{ name, number string }

// The kinds of routes, by the side that begins.
const (
	message  = "message"  // of clients
	request  = "request"  // of clients
	push     = "push"     // of the server
	question = "question" // of the server
)

// route is what travels on a route one way.
type route struct {
	kind, name string
	types      []*typ // payload; question and answer
}

// schema is all that a server and its clients say to each other.
type schema struct {
	routes []route         // by kind and name
	named  map[string]*typ // structs and enums
}

// EnumValues names the values of a number type: see Enum.
type EnumValues struct {
	of     reflect.Type
	values []value
}

// Enum names the values of an integer type that is sent, for Check and for the
// clients: reflection can't see constants.
//
//	gen.Enum(map[string]Team{"Red": Red, "Blue": Blue})
//
// Values may be added, and keep their numbers. A client passes on a number
// without a name as it is. A slice or an array of bytes is bytes, named or not.
func Enum[E ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](values map[string]E) EnumValues {
	e := EnumValues{of: reflect.TypeFor[E]()}
	for name, v := range values {
		e.values = append(e.values, value{name, fmt.Sprintf("%d", v)})
	}
	// By number, and by name where two have one.
	slices.SortFunc(e.values, func(a, b value) int {
		if x, y := values[a.name], values[b.name]; x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return e
}

// reader makes a schema of Go types.
type reader struct {
	schema *schema
	enums  map[reflect.Type]EnumValues
	known  map[reflect.Type]*typ
}

// builtIn are the framework's own routes, which all clients have.
var builtIn = []string{
	framework.RouteJoin, framework.RouteLeave, framework.RouteWatch, framework.RouteList, framework.RouteFollow, framework.RouteUnfollow,
	framework.RouteListed, framework.RouteJoined, framework.RouteLeft, framework.RouteRooms, framework.RouteRefused,
}

// schemaOf reads the routes of a server.
func schemaOf(srv *framework.Server, enums []EnumValues) (*schema, error) {
	r := &reader{&schema{named: map[string]*typ{}}, map[reflect.Type]EnumValues{}, map[reflect.Type]*typ{}}
	for _, e := range enums {
		for _, v := range e.values {
			if v.name == "" || strings.ContainsFunc(v.name, func(c rune) bool { return c == '=' || !unicode.IsPrint(c) || unicode.IsSpace(c) }) {
				return nil, fmt.Errorf("a value of enum %s is called %q: a name has no blanks and no =", e.of, v.name)
			}
		}
		r.enums[e.of] = e
	}
	for _, at := range srv.Routes() {
		if slices.Contains(builtIn, at.Name()) || isSchemaRoute(at.Name()) {
			continue
		}
		of := at.Types()
		if of.Untyped {
			return nil, fmt.Errorf("route %s: Sends names no type: use framework.SendsAs, with codec.Raw if it has none", at.Name())
		}
		for _, way := range []struct {
			kind  string
			types []reflect.Type
		}{{message, []reflect.Type{of.Message}}, {request, []reflect.Type{of.Question, of.Answer}}, {push, []reflect.Type{of.Push}}, {question, []reflect.Type{of.Asked, of.Told}}} {
			if way.types[0] == nil {
				continue
			}
			if err := r.route(way.kind, at.Name(), way.types); err != nil {
				return nil, err
			}
		}
	}
	r.schema.sort()
	return r.schema, nil
}

func (s *schema) sort() {
	slices.SortFunc(s.routes, func(a, b route) int { return strings.Compare(a.kind+" "+a.name, b.kind+" "+b.name) })
}

func (r *reader) route(kind, name string, types []reflect.Type) error {
	at := route{kind: kind, name: name}
	for _, t := range types {
		of, err := r.read(t)
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind, name, err)
		}
		at.types = append(at.types, of)
	}
	r.schema.routes = append(r.schema.routes, at)
	return nil
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[codec.Raw]()
)

// read makes a typ of a Go type.
func (r *reader) read(t reflect.Type) (*typ, error) {
	switch {
	case t == timeType:
		return &typ{name: "time"}, nil
	case t == rawType:
		return &typ{name: "raw"}, nil
	case t.Kind() != reflect.Pointer && codec.EncodesItself(t):
		return nil, fmt.Errorf("%s encodes itself by its methods, which tell nothing of its bytes: send its parts, or a codec.Raw", t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return r.structure(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return &typ{name: "bytes"}, nil
		}
		return r.part(&typ{kind: isList}, t.Elem())
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return &typ{kind: isBytes, n: t.Len()}, nil
		}
		return r.part(&typ{kind: isArray, n: t.Len()}, t.Elem())
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Pointer {
			return nil, fmt.Errorf("%s: a pointer to a pointer travels as one", t)
		}
		return r.part(&typ{kind: isOption}, t.Elem())
	case reflect.Map:
		return r.mapping(t)
	case reflect.Interface:
		return nil, fmt.Errorf("%s is an interface: clients can't know what is in it: send a struct for each, or a codec.Raw", t)
	}
	if scalars[t.Kind().String()] {
		return r.number(t)
	}
	return nil, fmt.Errorf("a %s can't be sent", t)
}

// number is any scalar kind, as what it is or as an enum.
func (r *reader) number(t reflect.Type) (*typ, error) {
	scalar := &typ{name: t.Kind().String()}
	e, ok := r.enums[t]
	if !ok {
		return scalar, nil
	}
	if of := r.known[t]; of != nil {
		return of, nil
	}
	of := &typ{kind: isEnum, name: nameOf(t), elem: scalar, values: e.values, from: t}
	return of, r.name(of)
}

// name notes a type by its name.
func (r *reader) name(of *typ) error {
	if other := r.schema.named[of.name]; other != nil {
		return fmt.Errorf("two types are called %s, of %s and of %s: rename one", of.name, other.from.PkgPath(), of.from.PkgPath())
	}
	r.known[of.from], r.schema.named[of.name] = of, of
	return nil
}

func (r *reader) part(of *typ, elem reflect.Type) (*typ, error) {
	var err error
	if of.elem, err = r.read(elem); err != nil {
		return nil, err
	}
	if of.elem.kind == isOption && of.kind == isOption {
		return nil, fmt.Errorf("%s: a pointer to a pointer travels as one", elem)
	}
	return of, nil
}

func (r *reader) mapping(t reflect.Type) (*typ, error) {
	key, err := r.read(t.Key())
	if err != nil {
		return nil, err
	}
	switch k := t.Key().Kind(); {
	case k == reflect.String, k >= reflect.Int && k <= reflect.Uint64:
	default:
		return nil, fmt.Errorf("%s: the keys of a map are strings or integers", t)
	}
	return r.part(&typ{kind: isMap, key: key}, t.Elem())
}

func (r *reader) structure(t reflect.Type) (*typ, error) {
	if of := r.known[t]; of != nil {
		return of, nil
	}
	if t.Name() == "" {
		if t.NumField() == 0 {
			return &typ{kind: isEmpty}, nil
		}
		return nil, fmt.Errorf("%s has no name: clients need one: declare it as a type", t)
	}
	of := &typ{kind: isStruct, name: nameOf(t), from: t}
	if err := r.name(of); err != nil { // before its fields, which may contain it
		return nil, err
	}
	fields, err := codec.Fields(t)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		elem, err := r.read(f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, of.name, err)
		}
		in := field{name: f.Name, typ: elem}
		if len(f.Index) > 1 {
			in.embed = t.Field(f.Index[0]).Name
		}
		of.fields = append(of.fields, in)
	}
	return of, nil
}

// nameOf returns the name of a type with its package's, of letters, digits and "_".
func nameOf(t reflect.Type) string {
	pkg, name, _ := strings.Cut(t.String(), ".")
	var b strings.Builder
	for i, c := range name {
		switch {
		case unicode.IsLetter(c) || unicode.IsDigit(c) || c == '_':
			b.WriteRune(c)
		case i < len(name)-1: // a parameter of a generic type
			b.WriteByte('_')
		}
	}
	return pkg + "." + b.String()
}

// expr writes a type as messages.lock does.
func (t *typ) expr() string {
	switch t.kind {
	case isEmpty:
		return "struct{}"
	case isList:
		return "[]" + t.elem.expr()
	case isArray:
		return fmt.Sprintf("[%d]%s", t.n, t.elem.expr())
	case isBytes:
		return fmt.Sprintf("[%d]byte", t.n)
	case isMap:
		return "map[" + t.key.expr() + "]" + t.elem.expr()
	case isOption:
		return "*" + t.elem.expr()
	}
	return t.name
}
