// SPDX-License-Identifier: MIT

package gen

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sorted returns the structs and enums by name.
func (s *schema) sorted() []*typ {
	var list []*typ
	for _, name := range slices.Sorted(maps.Keys(s.named)) {
		list = append(list, s.named[name])
	}
	return list
}

// identifiers gives each struct and enum a name for code: without its package's,
// unless two would have one. A name that is taken already gets "Message" behind it.
func (s *schema) identifiers(taken []string) map[*typ]string {
	count := map[string]int{}
	for name := range s.named {
		_, base, _ := strings.Cut(name, ".")
		count[upper(base)]++
	}
	names, used := map[*typ]string{}, map[string]bool{}
	for _, t := range s.sorted() {
		pkg, base, _ := strings.Cut(t.name, ".")
		id := upper(base)
		if count[id] > 1 {
			id = upper(pkg) + id
		}
		if slices.Contains(taken, id) {
			id += "Message"
		}
		for used[id] { // by another one, as of move and Move in one package
			id += "_"
		}
		used[id], names[t] = true, id
	}
	return names
}

// upper makes the first letter a capital.
func upper(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(c)) + s[n:]
}

// lower makes a Go name one of JavaScript's: ID is id, URLPath urlPath, X x.
func lower(s string) string {
	runes := []rune(s)
	for i, c := range runes {
		if !unicode.IsUpper(c) || i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(c)
	}
	return string(runes)
}

// inOrder returns the structs and enums so that each comes after those that it
// contains, as far as that is possible, and those that are mentioned before.
func (s *schema) inOrder() (list []*typ, early map[*typ]map[*typ]bool) {
	done := map[*typ]int{} // 1: begun, 2: in list
	early = map[*typ]map[*typ]bool{}
	var visit func(of, t *typ)
	visit = func(of, t *typ) {
		switch {
		case t == nil:
		case t.kind != isStruct && t.kind != isEnum:
			visit(of, t.elem)
			visit(of, t.key)
		case done[t] == 1:
			if early[of] == nil {
				early[of] = map[*typ]bool{}
			}
			early[of][t] = true
		case done[t] == 0:
			done[t] = 1
			for _, f := range t.fields {
				visit(t, f.typ)
			}
			done[t] = 2
			list = append(list, t)
		}
	}
	for _, t := range s.sorted() {
		visit(nil, t)
	}
	return list, early
}

// literal writes a string as JavaScript and C# do, which have the escapes of JSON.
func literal(s string) string {
	b, _ := json.Marshal(s) // a string has no error
	return string(b)
}

// literals writes a text as a literal for each line.
func literals(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		list = append(list, literal(line))
	}
	if list == nil {
		return []string{`""`}
	}
	return list
}
