// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	tb := NewTable[string](time.Minute, 3)
	id := func(n byte) ID { return ID{n} }
	tb.Put(id(1), "u", "a")
	tb.Put(id(2), "u", "b")
	tb.Put(id(3), "u", "c")
	tb.Put(id(4), "", "d")
	if v, ok := tb.Get(id(2)); v != "b" || !ok || tb.Len() != 4 {
		t.Errorf("Get: %q %v of %d", v, ok, tb.Len())
	}
	if got := fmt.Sprint(tb.User("u")); got != "[a b c]" || len(tb.User("")) != 0 || len(tb.User("x")) != 0 {
		t.Errorf("User: %s", got)
	}
	kept := tb.User("u")
	tb.Bury(id(2), "u", "b", Tombstone{Code: Kicked, Recv: 7}, 0)
	if got := fmt.Sprint(tb.User("u")); got != "[a c]" || fmt.Sprint(kept) != "[a b c]" {
		t.Errorf("User after Bury: %s; a slice that was handed out is %v", got, kept)
	}
	if _, ok := tb.Get(id(2)); ok {
		t.Error("a buried session lives")
	}
	if s, ok := tb.Tomb(id(2), 59*time.Second); !ok || s.Code != Kicked || s.Recv != 7 {
		t.Errorf("Tomb: %v %v", s, ok)
	}
	if _, ok := tb.Tomb(id(2), time.Minute); ok || tb.Tombs() != 0 {
		t.Error("a tombstone outlived its time")
	}
	tb.Bury(id(1), "u", "other", Tombstone{}, time.Minute) // somebody else's record stays
	if got := fmt.Sprint(tb.User("u")); got != "[a c]" {
		t.Errorf("User: %s", got)
	}
	tb.Bury(id(1), "u", "a", Tombstone{}, time.Minute)
	tb.Bury(id(3), "u", "c", Tombstone{}, time.Minute)
	tb.Bury(id(4), "", "d", Tombstone{}, time.Minute)
	if len(tb.users) != 0 || tb.Len() != 0 {
		t.Errorf("%d users, %d sessions are left", len(tb.users), tb.Len())
	}
	if tb.Tombs() > 3 {
		t.Errorf("%d tombstones, at most 3 are kept", tb.Tombs())
	}
	n := 0
	tb.Put(id(7), "x", "e")
	tb.Put(id(8), "y", "f")
	tb.All(func(ID, string) bool { n++; return false })
	if n != 1 {
		t.Errorf("All went on for %d", n)
	}
}

func TestTombstonesAreBounded(t *testing.T) {
	for _, most := range []int{-1, 0, 1, 100} {
		tb := NewTable[int](time.Second, most)
		for i := range 10_000 {
			id := ID{byte(i), byte(i >> 8)}
			tb.Put(id, "", i)
			tb.Bury(id, "", i, Tombstone{}, time.Duration(i)*time.Millisecond)
			if tb.Tombs() > max(most, 0) || len(tb.order) > 2*max(most, 0)+200 {
				t.Fatalf("most %d: %d tombstones in a list of %d", most, tb.Tombs(), len(tb.order))
			}
		}
		tb.Tomb(ID{}, time.Hour)
		if tb.Tombs() != 0 {
			t.Errorf("%d tombstones after their time", tb.Tombs())
		}
	}
}

func TestRefusalOfTheDead(t *testing.T) {
	for code, want := range map[Code]CloseError{
		Kicked:   {Code: Kicked},
		Game + 3: {Code: Game + 3},
		Expired:  {Code: Gone, Text: "expired", Detail: 9},
		Left:     {Code: Gone, Text: "left", Detail: 9},
	} {
		if got := *(Tombstone{Code: code, Recv: 9}).Refusal(); got != want {
			t.Errorf("%v: %+v, want %+v", code, got, want)
		}
	}
}

func TestOvertaken(t *testing.T) {
	tb := NewTable[int](time.Minute, 1)
	a, b := OpeningKey{1}, OpeningKey{2}
	for i, c := range []struct {
		k       OpeningKey
		attempt uint64
		now     time.Duration
		want    bool
	}{
		{a, 0, 0, true}, {a, 5, 0, false}, {a, 5, 1, true}, {a, 4, 1, true}, {b, 4, 1, false}, {a, 6, 2, false},
		{a, 5, 59 * time.Second, true}, {a, 5, 61 * time.Second, true}, {b, 4, 61 * time.Second, true},
		{a, 7, 61 * time.Second, false}, {b, 4, 125 * time.Second, false}, {a, 7, 125 * time.Second, true},
	} {
		if got := tb.Overtaken(c.k, c.attempt, c.now); got != c.want {
			t.Errorf("%d: attempt %d at %v: %v", i, c.attempt, c.now, got)
		}
	}
	for i := range 100_000 { // ten seconds of logins are not kept for ever
		tb.Overtaken(OpeningKey{byte(i), byte(i >> 8), byte(i >> 16)}, 1, 10*time.Minute+time.Duration(i)*10*time.Millisecond)
	}
	if n := len(tb.seen) + len(tb.seenBefore); n > 13_000 {
		t.Errorf("%d logins are remembered after two minutes of 100 a second", n)
	}
}
