// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// callback is a method that a room type may have.
type callback struct {
	name string
	sig  reflect.Type
}

var callbacks = []callback{
	{"OnCreate", reflect.TypeFor[func() error]()},
	{"OnJoin", reflect.TypeFor[func(*Player) error]()},
	{"OnDetach", reflect.TypeFor[func(*Player)]()},
	{"OnResume", reflect.TypeFor[func(*Player)]()},
	{"OnSnapshot", reflect.TypeFor[func(*Player)]()},
	{"OnLeave", reflect.TypeFor[func(*Player, Reason)]()},
	{"OnWatch", reflect.TypeFor[func(*Player) error]()},
	{"OnUnwatch", reflect.TypeFor[func(*Player, Reason)]()},
	{"OnShutdown", reflect.TypeFor[func(time.Duration)]()},
	{"OnEnd", reflect.TypeFor[func(Reason)]()},
	{"OnSave", reflect.TypeFor[func() ([]byte, error)]()},
	{"OnRestore", reflect.TypeFor[func([]byte) error]()},
	{"OnReturn", reflect.TypeFor[func(*Player)]()},
	{"OnMissing", reflect.TypeFor[func(string, Reason)]()},
	{"OnTick", reflect.TypeFor[func(Tick)]()},
}

// checkCallbacks refuses a room type with a method that its author takes for a
// callback and that would never be called. Methods whose names only begin with
// On are handlers as often as not, so a name that is a little off counts only if
// the signature is a callback's.
func checkCallbacks(of reflect.Type) error {
	for m := range of.Methods() {
		sig := signature(of, m)
		for _, c := range callbacks {
			if m.Name == c.name && sig != c.sig {
				return fmt.Errorf("%v.%s is %v and would never be called: want %v", of, m.Name, sig, c.sig)
			}
			if looksLike(m.Name, sig, c) {
				return fmt.Errorf("%v.%s would never be called: is it meant to be %s?", of, m.Name, c.name)
			}
		}
	}
	saves, restores := of.Implements(reflect.TypeFor[SaveHandler]()), of.Implements(reflect.TypeFor[RestoreHandler]())
	if saves != restores {
		return fmt.Errorf("%v has one of OnSave and OnRestore, and needs both or neither", of)
	}
	if of.Kind() == reflect.Interface || of.Kind() == reflect.Pointer {
		return nil
	}
	for _, c := range callbacks {
		_, has := of.MethodByName(c.name)
		if _, pointer := reflect.PointerTo(of).MethodByName(c.name); pointer && !has {
			return fmt.Errorf("*%v has %s and %v has not: let make return a *%v", of, c.name, of, of)
		}
	}
	return nil
}

// signature is a method's type without its receiver.
func signature(of reflect.Type, m reflect.Method) reflect.Type {
	if of.Kind() == reflect.Interface {
		return m.Type
	}
	in, out := slices.Collect(m.Type.Ins()), slices.Collect(m.Type.Outs())
	return reflect.FuncOf(in[1:], out, m.Type.IsVariadic())
}

// looksLike reports whether a method that is no callback was meant for c.
func looksLike(name string, sig reflect.Type, c callback) bool {
	if slices.ContainsFunc(callbacks, func(c callback) bool { return c.name == name }) {
		return false
	}
	switch {
	case strings.EqualFold(name, c.name):
		return true
	case sig != c.sig || !strings.HasPrefix(name, "On"):
		return false
	case c.name == "OnTick" || c.name == "OnLeave" || c.name == "OnUnwatch":
		return true // nothing else takes a Tick, or a player and a Reason
	}
	return distance(name, c.name) <= 2
}

// distance is how many letters must be put in, left out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			same := diagonal
			if a[i] != b[j] {
				same++
			}
			diagonal = row[j+1]
			row[j+1] = min(same, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
