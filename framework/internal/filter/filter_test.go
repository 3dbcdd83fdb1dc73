// SPDX-License-Identifier: MIT

package filter

import (
	"strconv"
	"strings"
	"testing"
)

// String writes a filter so that it reads the same.
func (f Filter) String() string {
	var b strings.Builder
	for _, t := range f {
		b.WriteString(" " + t.field + t.op + `"` + t.value + `"`)
	}
	return b.String()
}

func TestFiltersAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"  ":                            "",
		"map=ice":                       ` map="ice"`,
		" map=ice  rating>=10 ":         ` map="ice" rating>="10"`,
		`name="the den" free>0`:         ` name="the den" free>"0"`,
		`name=""`:                       ` name=""`,
		`a!="=<>"`:                      ` a!="=<>"`,
		"a<1 b<=2 c>3 d>=4 e=5 f!=6":    ` a<"1" b<="2" c>"3" d>="4" e="5" f!="6"`,
		strings.Repeat("a=1 ", 8):       strings.Repeat(` a="1"`, 8),
		"a=" + strings.Repeat("x", 254): ` a="` + strings.Repeat("x", 254) + `"`,
	} {
		if f, err := Parse(text); err != nil || f.String() != want {
			t.Errorf("%q reads %q, want %q: %v", text, f, want, err)
		}
	}
}

func TestBadFiltersAreRefused(t *testing.T) {
	for _, text := range []string{
		"map", "=ice", "map=", "map ice", "map=ice=sand", `map="ice`, `map="ice"x`, `map="ice"x=1`, "map==ice", "!=", "map!ice", "map=<>", `"map"=ice`,
		strings.Repeat("a=1 ", 9), strings.Repeat("x", 257), "a=" + strings.Repeat("x", 255), strings.Repeat("k", 60<<10),
	} {
		f, err := Parse(text)
		if err == nil {
			t.Errorf("%.40q reads %q", text, f)
			continue
		}
		if len(err.Error()) > 2*maxBytes {
			t.Errorf("%.40q is refused in %d bytes", text, len(err.Error()))
		}
	}
}

// TestLongNumbersAreTold: an integer of 64 bits, as the id of a user, is equal to no other one.
func TestLongNumbersAreTold(t *testing.T) {
	const owner = "76561198000000001"
	for text, want := range map[string]bool{
		"owner=76561198000000001": true, "owner=76561198000000002": false, "owner!=76561198000000002": true, "owner<76561198000000002": true,
		"owner>=76561198000000002": false, "owner=076561198000000001": true, "owner<1e17": true, "owner>0.5": true,
	} {
		f, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Matches(func(string) (string, bool) { return owner, true }); got != want {
			t.Errorf("%s of %s: %t", text, owner, got)
		}
	}
}

// FuzzFilter: whatever a client writes is refused, or means what it says.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		"", "map=ice", "map!=ice rating>=1000 free>0", `name="the den" open=true`, "a<1 b<=-2.5e3 c>inf d>=nan", `a="1" b=0x10`,
		"map", "=x", "a==b", `a="`, `a="b"c=d`, "a=1\tb=2", "a=1\x00", "\xff=\xfe", strings.Repeat("a=1 ", 9),
	} {
		f.Add(text, "1000")
		f.Add(text, "ice")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		read, err := Parse(text)
		if err != nil {
			if read != nil {
				t.Fatalf("%q is refused and read", text)
			}
			return
		}
		if len(read) > maxTerms || len(text) > maxBytes {
			t.Fatalf("%d terms in %d bytes are read", len(read), len(text))
		}
		written := read.String()
		if len(written) <= maxBytes {
			if again, err := Parse(written); err != nil || again.String() != written {
				t.Fatalf("%q was written as %q, which reads %q: %v", text, written, again, err)
			}
		}
		all := true
		for _, of := range read {
			if of.field == "" || strings.ContainsAny(of.field, "=!<> \"") {
				t.Fatalf("%q has a field %q", text, of.field)
			}
			all = all && of.holds(value, true)
			checkTerm(t, of, value)
		}
		if got := read.Matches(func(string) (string, bool) { return value, true }); got != all {
			t.Fatalf("%q matches %q: %t", text, value, got)
		}
	})
}

// checkTerm: of =, != one holds; of <, =, > one does if both are numbers, and else neither < nor >.
func checkTerm(t *testing.T, of term, value string) {
	t.Helper()
	holds := func(op string) bool { return term{of.field, op, of.value}.holds(value, true) }
	a, errA := strconv.ParseFloat(value, 64)
	b, errB := strconv.ParseFloat(of.value, 64)
	numbers := errA == nil && errB == nil && a == a && b == b
	n := 0
	for _, op := range []string{"<", "=", ">"} {
		if holds(op) {
			n++
		}
	}
	switch {
	case holds("=") == holds("!="), numbers && n != 1, !numbers && (holds("<") || holds(">") || holds("<=") || holds(">=")),
		numbers && (holds("<=") != (holds("<") || holds("=")) || holds(">=") != (holds(">") || holds("="))):
		t.Fatalf("%q against %q", of, value)
	}
}
