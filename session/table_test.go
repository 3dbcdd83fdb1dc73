// SPDX-License-Identifier: MIT

package session

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
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
	tb.Remove(id(2), "u", Tombstone{Code: Kicked, Recv: 7}, 0)
	if got := fmt.Sprint(tb.User("u")); got != "[a c]" || fmt.Sprint(kept) != "[a b c]" {
		t.Errorf("User after Remove: %s; a slice that was handed out is %v", got, kept)
	}
	if _, ok := tb.Get(id(2)); ok {
		t.Error("a removed session lives")
	}
	if s, ok := tb.Tombstone(id(2), 59*time.Second); !ok || s.Code != Kicked || s.Recv != 7 {
		t.Errorf("Tomb: %v %v", s, ok)
	}
	if _, ok := tb.Tombstone(id(2), time.Minute); ok || len(tb.tombstones) != 0 {
		t.Error("a tombstone outlived its time")
	}
	tb.Remove(id(9), "u", Tombstone{}, time.Minute) // whom nobody has put in
	if got := fmt.Sprint(tb.User("u")); got != "[a c]" {
		t.Errorf("User: %s", got)
	}
	tb.Remove(id(1), "u", Tombstone{}, time.Minute)
	tb.Remove(id(3), "u", Tombstone{}, time.Minute)
	tb.Remove(id(4), "", Tombstone{}, time.Minute)
	if len(tb.users) != 0 || tb.Len() != 0 {
		t.Errorf("%d users, %d sessions are left", len(tb.users), tb.Len())
	}
	if len(tb.tombstones) > 3 {
		t.Errorf("%d tombstones, at most 3 are kept", len(tb.tombstones))
	}
	n := 0
	tb.Put(id(7), "x", "e")
	tb.Put(id(8), "y", "f")
	tb.All(func(ID, string) bool { n++; return false })
	if n != 1 {
		t.Errorf("All went on for %d", n)
	}
}

// A session that moved away, came back and ended leaves two tombstones. The later one
// lives for its own time.
func TestTombstoneOfASessionThatCameBack(t *testing.T) {
	tb := NewTable[string](time.Minute, 3)
	tb.Put(ID{1}, "u", "a")
	tb.Remove(ID{1}, "u", Tombstone{Code: Moved}, 0)
	tb.Put(ID{1}, "u", "a")
	tb.Remove(ID{1}, "u", Tombstone{Code: Kicked}, 50*time.Second)
	if s, ok := tb.Tombstone(ID{1}, 109*time.Second); !ok || s.Code != Kicked {
		t.Errorf("59 s after its end: %v, %v", s.Code, ok)
	}
	if _, ok := tb.Tombstone(ID{1}, 110*time.Second); ok || len(tb.tombstones) != 0 {
		t.Error("a tombstone outlived its time")
	}
}

// TestTableAgainstModel plays random comings and goings on a table and on a list.
func TestTableAgainstModel(t *testing.T) {
	type member struct {
		id   ID
		user string
	}
	rng := rand.New(rand.NewPCG(1, 2))
	tb := NewTable[*member](time.Minute, 10)
	var all []*member // oldest first
	most := 0
	for range 20_000 {
		if n := len(all); n < 40 && rng.IntN(40) > n {
			m := &member{user: []string{"", "u", "v", "w"}[rng.IntN(4)]}
			binary.LittleEndian.PutUint64(m.id[:], rng.Uint64())
			tb.Put(m.id, m.user, m)
			all = append(all, m)
			most = max(most, len(all))
		} else {
			i := rng.IntN(n)
			tb.Remove(all[i].id, all[i].user, Tombstone{}, 0)
			if _, ok := tb.Get(all[i].id); ok {
				t.Fatal("a removed session lives")
			}
			all = slices.Delete(all, i, i+1)
		}
		of := map[string][]*member{}
		for _, m := range all {
			if got, ok := tb.Get(m.id); got != m || !ok {
				t.Fatalf("Get finds %v instead of %v", got, m)
			}
			if m.user != "" {
				of[m.user] = append(of[m.user], m)
			}
		}
		for _, user := range []string{"", "u", "v", "w"} {
			if got := tb.User(user); !slices.Equal(got, of[user]) {
				t.Fatalf("%q has %v, should have %v", user, got, of[user])
			}
		}
		if tb.Len() != len(all) || len(tb.users) != len(of) || len(tb.entries) > most {
			t.Fatalf("%d sessions of %d users in %d entries; there are %d of %d, and were at most %d", tb.Len(), len(tb.users), len(tb.entries), len(all), len(of), most)
		}
	}
}

// What grows with the sessions has one pointer a session, and the maps none but
// the names of users.
func TestMapsOfTheTableHoldNoSessions(t *testing.T) {
	var tb Table[*Session]
	for name, m := range map[string]any{"live": tb.live, "users": tb.users} {
		if k := reflect.TypeOf(m).Elem().Kind(); k != reflect.Uint32 {
			t.Errorf("%s has values of kind %v", name, k)
		}
	}
}

func TestTombstonesAreBounded(t *testing.T) {
	for _, most := range []int{-1, 0, 1, 100} {
		tb := NewTable[int](time.Second, most)
		for i := range 10_000 {
			id := ID{byte(i), byte(i >> 8)}
			tb.Put(id, "", i)
			tb.Remove(id, "", Tombstone{}, time.Duration(i)*time.Millisecond)
			if len(tb.tombstones) > max(most, 0) || len(tb.expiries) > 2*max(most, 0)+200 {
				t.Fatalf("most %d: %d tombstones in a list of %d", most, len(tb.tombstones), len(tb.expiries))
			}
		}
		tb.Tombstone(ID{}, time.Hour)
		if len(tb.tombstones) != 0 {
			t.Errorf("%d tombstones after their time", len(tb.tombstones))
		}
	}
}

func TestRefusalOfTheDead(t *testing.T) {
	for code, want := range map[Code]CloseError{
		Kicked:   {Code: Kicked, Detail: 5},
		Game + 3: {Code: Game + 3, Detail: 5},
		Expired:  {Code: Gone, Text: "expired", Detail: 9},
		Left:     {Code: Gone, Text: "left", Detail: 9},
	} {
		if got := *(Tombstone{Code: code, Recv: 9, Detail: 5}).Refusal(); got != want {
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
		if got := tb.RecordAttempt(c.k, c.attempt, c.now); got != c.want {
			t.Errorf("%d: attempt %d at %v: %v", i, c.attempt, c.now, got)
		}
	}
	for i := range 100_000 { // ten seconds of logins are not kept for ever
		tb.RecordAttempt(OpeningKey{byte(i), byte(i >> 8), byte(i >> 16)}, 1, 10*time.Minute+time.Duration(i)*10*time.Millisecond)
	}
	if n := len(tb.attempts) + len(tb.attemptsBefore); n > 13_000 {
		t.Errorf("%d logins are remembered after two minutes of 100 a second", n)
	}
	for i := range 3 {
		tb.Sweep(time.Hour + time.Duration(i)*time.Minute)
	}
	if n := len(tb.attempts) + len(tb.attemptsBefore); n > 0 {
		t.Errorf("%d logins are remembered when nobody has come for minutes", n)
	}
}

// TestRefusedHellosLeaveNothingBehind: only while an answer is open, or a session
// came of it, must a HELLO that was overtaken be known again.
func TestRefusedHellosLeaveNothingBehind(t *testing.T) {
	tab := NewTable[int](time.Minute, 10)
	key := func(n int) (k OpeningKey) {
		binary.LittleEndian.PutUint64(k[:], uint64(n))
		return k
	}
	for n := range 1000 {
		if tab.RecordAttempt(key(n), 5, 0) || !tab.RecordAttempt(key(n), 4, 0) {
			t.Fatal("a HELLO is overtaken by none but a later one")
		}
		tab.ForgetAttempts(key(n))
	}
	if n := len(tab.attempts) + len(tab.attemptsBefore); n != 0 {
		t.Errorf("%d are remembered", n)
	}
	for n := range 5 * maxAttempts {
		tab.RecordAttempt(key(n), 1, 0)
	}
	if n := len(tab.attempts) + len(tab.attemptsBefore); n > 2*maxAttempts {
		t.Errorf("%d are remembered, more than %d", n, 2*maxAttempts)
	}
	if last := key(5*maxAttempts - 1); !tab.RecordAttempt(last, 1, 0) {
		t.Error("the latest is forgotten")
	}
}
