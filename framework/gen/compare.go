// SPDX-License-Identifier: MIT

package gen

import (
	"fmt"
	"slices"
)

// difference is a place where what one side writes is not what the other reads.
type difference struct {
	place string // "swarm.Spot, field 2", "message move"
	a, b  string // what is there; empty: nothing
	hint  string // what to do about it, for the author of the change from a to b
}

// comparison walks two schemas at once.
type comparison struct {
	appends bool // b is a later a: nothing may be missing in it
	found   []difference
	seen    map[[2]*typ]bool
	steps   int
}

// The bounds of a comparison with what a client sent.
const (
	maxSteps       = 100_000
	maxDifferences = 20
)

// compare returns where b does not fit a, which is older if appends is set, and
// else a client's.
func compare(a, b *schema, appends bool) []difference {
	c := &comparison{appends: appends, seen: map[[2]*typ]bool{}}
	for _, from := range a.routes {
		place := from.kind + " " + quoted(from.name)
		i := slices.IndexFunc(b.routes, func(to route) bool { return to.kind == from.kind && to.name == from.name })
		if i < 0 {
			c.differ(place, typesOf(from), "", "if no client uses it any more, delete its line")
			continue
		}
		to := b.routes[i]
		for n := range from.types {
			at := place
			if len(from.types) > 1 {
				at += []string{", question", ", answer"}[n]
			}
			c.types(at, from.types[n], to.types[n])
		}
	}
	return c.found
}

func typesOf(r route) string {
	text := r.types[0].expr()
	for _, t := range r.types[1:] {
		text += " " + t.expr()
	}
	return text
}

func (c *comparison) differ(place, a, b, hint string) {
	if len(c.found) < maxDifferences {
		c.found = append(c.found, difference{place, a, b, hint})
	}
}

const retyped = "put it back, and append a field or add a route for what is new"

// types compares what stands in one place. It reports whether it is the same, but
// for what structs and enums contain, which is told at their own place.
func (c *comparison) types(place string, a, b *typ) {
	if !c.same(a, b) {
		hint := retyped
		if a.kind != isStruct && b.kind == isStruct {
			hint += ": a payload that may ever grow is a struct from the start"
		}
		c.differ(place, a.expr(), b.expr(), hint)
	}
}

// same reports whether two types are written alike, and compares the structs and
// enums that both contain.
func (c *comparison) same(a, b *typ) bool {
	if c.steps++; c.steps > maxSteps {
		return true
	}
	if isRaw(b) || isRaw(a) && !c.appends {
		return true // any value: what was there is skipped
	}
	// An enum is its number.
	if a.kind == isEnum || b.kind == isEnum {
		return c.enums(a, b)
	}
	if a.kind != b.kind || a.n != b.n {
		return false
	}
	switch a.kind {
	case isScalar:
		return a.name == b.name
	case isStruct:
		c.structs(a, b)
		return true
	case isMap:
		return c.same(a.key, b.key) && c.same(a.elem, b.elem)
	case isList, isArray, isOption:
		return c.same(a.elem, b.elem)
	}
	return true
}

func isRaw(t *typ) bool { return t.kind == isScalar && t.name == "raw" }

func (c *comparison) enums(a, b *typ) bool {
	number := func(t *typ) *typ {
		if t.kind == isEnum {
			return t.elem
		}
		return t
	}
	if x, y := number(a), number(b); x.kind != isScalar || y.kind != isScalar || x.name != y.name {
		return false
	}
	if a.kind != isEnum || b.kind != isEnum || !c.first(a, b) {
		return true
	}
	for _, v := range a.values {
		i := slices.IndexFunc(b.values, func(w value) bool { return w.name == v.name })
		switch {
		case i >= 0 && b.values[i].number != v.number:
			c.differ(a.name+", value "+v.name, v.number, b.values[i].number, "put it back: old clients know it by its number")
		case i < 0 && c.appends:
			c.differ(a.name+", value "+v.name, v.number, "", "put it back, or rename it in the lock, too, if it means the same")
		}
	}
	return true
}

// first reports whether a pair of types has not been compared yet.
func (c *comparison) first(a, b *typ) bool {
	if c.seen[[2]*typ{a, b}] {
		return false
	}
	c.seen[[2]*typ{a, b}] = true
	return true
}

// structs compares the fields of two structs up to the first that is different:
// what follows is out of its place.
func (c *comparison) structs(a, b *typ) {
	if !c.first(a, b) {
		return
	}
	for i, from := range a.fields {
		place := fmt.Sprintf("%s, field %d", a.name, i+1)
		old := from.name + ":" + from.typ.expr()
		if i == len(b.fields) {
			if c.appends {
				c.differ(place, old, "", removed)
			}
			return
		}
		to := b.fields[i]
		if isRaw(to.typ) && !isRaw(from.typ) || isRaw(from.typ) && !c.appends {
			continue // what has taken the place of a removed field
		}
		if from.name != to.name || !c.same(from.typ, to.typ) {
			c.differ(place, old, to.name+":"+to.typ.expr(), moved(a, b, i))
			return
		}
	}
}

const removed = "put it back: a field that is not needed stays and is not filled, or has an exported codec.Raw in its place (an unexported field or _ holds no place)"

// moved tells what has happened to field i, the first that is different.
func moved(a, b *typ, i int) string {
	from, to := a.fields[i], b.fields[i]
	has := func(t *typ, name string) bool {
		return slices.ContainsFunc(t.fields, func(f field) bool { return f.name == name })
	}
	switch {
	case from.name == to.name:
		return retyped
	case !has(a, to.name) && to.embed != "":
		return fmt.Sprintf("%s, which is embedded, has grown: its fields stand in place, so all behind them have moved. Append the field to %s itself, or embed no struct that grows", to.embed, b.name)
	case !has(b, from.name) && has(a, to.name):
		return removed
	case has(b, from.name) && has(a, to.name):
		return "the fields have changed places: put them back in their order"
	case has(b, from.name):
		return fmt.Sprintf("%s is new: append it at the end", to.name)
	case from.typ.expr() == to.typ.expr():
		return fmt.Sprintf("if it is the same under another name, rename it in the lock, too; if not, put %s back and append %s at the end", from.name, to.name)
	}
	return fmt.Sprintf("put %s back and append %s at the end", from.name, to.name)
}

// forLock is the sentence for the author of the change.
func (d difference) forLock() string {
	if d.b == "" {
		return fmt.Sprintf("%s: was %s, is gone: %s", d.place, d.a, d.hint)
	}
	return fmt.Sprintf("%s: was %s, is %s: %s", d.place, d.a, d.b, d.hint)
}

// forLogin is the sentence for a server's log and a client's.
func (d difference) forLogin() string {
	if d.b == "" {
		return fmt.Sprintf("%.200s: the client has %.200s, the server nothing", d.place, d.a)
	}
	return fmt.Sprintf("%.200s: the client has %.200s, the server %.200s", d.place, d.a, d.b)
}
