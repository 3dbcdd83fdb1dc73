// SPDX-License-Identifier: MIT

// Package filter reads what clients write to choose rooms by, and decides. It is pure:
// it knows no room, and what it takes from clients is bounded.
package filter

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Filter chooses rooms: terms with blanks between, all of which must hold, as in
//
//	map=ice mode!=ranked rating>=1000 free>0 name="the den"
//
// A term is a field, one of = != < <= > >=, and a value, which stands between quotes
// where it has blanks. Fields are what Room.Publish has published, and key, players,
// seats, free, watched and open. Two numbers are compared as numbers; of anything else
// only = and != can hold. A field that a room has not published equals nothing.
type Filter []term

type term struct {
	field, op, value string
}

const (
	maxBytes = 256 // of a filter
	maxTerms = 8
)

// Parse reads a filter. The empty one chooses every room.
func Parse(text string) (f Filter, err error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("a filter of %d bytes, more than %d", len(text), maxBytes)
	}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		if len(f) == maxTerms {
			return nil, fmt.Errorf("a filter of more than %d terms", maxTerms)
		}
		var t term
		if t, rest, err = parseTerm(rest); err != nil {
			return nil, err
		}
		f = append(f, t)
	}
	return f, nil
}

func parseTerm(text string) (t term, rest string, err error) {
	at := strings.IndexAny(text, "=!<> \"")
	if at <= 0 {
		return t, "", fmt.Errorf("filter: want a field, = != < <= > or >=, and a value at %q", text)
	}
	t.field, text = text[:at], text[at:]
	for _, op := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if after, ok := strings.CutPrefix(text, op); ok {
			t.op, text = op, after
			break
		}
	}
	if t.op == "" {
		return t, "", fmt.Errorf("filter: want = != < <= > or >= after %q", t.field)
	}
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		t.value, rest, ok = strings.Cut(quoted, `"`)
		if !ok {
			return t, "", fmt.Errorf("filter: the quote after %s%s has no end", t.field, t.op)
		}
		if rest != "" && rest[0] != ' ' {
			return t, "", fmt.Errorf("filter: want a blank after the value of %s, got %q", t.field, rest)
		}
		return t, rest, nil
	}
	t.value, rest, _ = strings.Cut(text, " ")
	if t.value == "" || strings.ContainsAny(t.value, "=!<>\"") {
		return t, "", fmt.Errorf("filter: want a value after %s%s", t.field, t.op)
	}
	return t, rest, nil
}

// Matches reports whether all terms hold of the fields of a room.
func (f Filter) Matches(field func(name string) (value string, ok bool)) bool {
	for _, t := range f {
		v, ok := field(t.field)
		if !t.holds(v, ok) {
			return false
		}
	}
	return true
}

func (t term) holds(v string, ok bool) bool {
	if !ok {
		return t.op == "!="
	}
	order, numbers := asNumbers(v, t.value)
	if !numbers {
		order = cmp.Compare(v, t.value)
	}
	switch t.op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return numbers && order < 0
	case "<=":
		return numbers && order <= 0
	case ">":
		return numbers && order > 0
	}
	return numbers && order >= 0
}

// asNumbers compares two values if both are numbers. Integers are compared as such: of two
// that are longer than 15 digits, such as ids of users, float64 may make the same.
func asNumbers(v, w string) (order int, ok bool) {
	i, errI := strconv.ParseInt(v, 10, 64)
	j, errJ := strconv.ParseInt(w, 10, 64)
	if errI == nil && errJ == nil {
		return cmp.Compare(i, j), true
	}
	a, errA := strconv.ParseFloat(v, 64)
	b, errB := strconv.ParseFloat(w, 64)
	return cmp.Compare(a, b), errA == nil && errB == nil && a == a && b == b
}
