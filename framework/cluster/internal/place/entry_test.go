// SPDX-License-Identifier: MIT

package place

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/session"
)

var (
	me    = core.Incarnation{Node: 1, Boot: 1}
	other = core.Incarnation{Node: 2, Boot: 7}
	third = core.Incarnation{Node: 3, Boot: 0xffffffff}
)

func entries() []*Entry {
	large := &Entry{Type: strings.Repeat("t", MaxName), Key: strings.Repeat("k", MaxName), Owner: third, Gen: 1<<64 - 1, Snapshot: make([]byte, MaxSnapshot), Lost: true, Target: third}
	return []*Entry{
		nil,
		{Type: "hall", Key: "lobby", Owner: me, Gen: 1},
		{Type: "hall", Key: "", Gen: 7, Target: other, Snapshot: []byte("state")},
		{Type: "a match", Key: "1/2", Owner: other, Gen: 9, Snapshot: []byte{}, Lost: true},
		large,
	}
}

func TestEntries(t *testing.T) {
	for _, e := range entries() {
		b := e.Append([]byte("x"))
		got, err := ParseEntry(b[1:])
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%+v became %+v, %v", e, got, err)
		}
	}
}

func TestEntriesAreRefused(t *testing.T) {
	good := (&Entry{Type: "hall", Key: "lobby", Owner: me, Gen: 1}).Append(nil)
	newer := bytes.Clone(good)
	newer[1] = entryVersion + 1
	if _, err := ParseEntry(newer); !errors.Is(err, ErrVersion) || !errors.Is(err, ErrEntry) {
		t.Errorf("of a later version: %v", err)
	}
	body := func(b entryBody) []byte {
		b.Version = entryVersion
		return appendBody(nil, &b)
	}
	for name, b := range map[string][]byte{
		"nonsense":            {0xc1},
		"cut":                 good[:len(good)-1],
		"more":                append(bytes.Clone(good), 0),
		"a long type":         body(entryBody{Type: strings.Repeat("t", MaxName+1)}),
		"a long key":          body(entryBody{Key: strings.Repeat("k", MaxName+1)}),
		"a large snapshot":    body(entryBody{Snapshot: make([]byte, MaxSnapshot+1)}),
		"more than may stand": make([]byte, maxEntry+1),
	} {
		if e, err := ParseEntry(b); !errors.Is(err, ErrEntry) || errors.Is(err, ErrVersion) || e != nil {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// FuzzEntry: whatever is read is within the bounds, and written again it is the same.
func FuzzEntry(f *testing.F) {
	for _, e := range entries()[:4] {
		f.Add(e.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			if !errors.Is(err, ErrEntry) {
				t.Fatal(err)
			}
			return
		}
		if e == nil {
			return
		}
		if len(e.Type) > MaxName || len(e.Key) > MaxName || len(e.Snapshot) > MaxSnapshot {
			t.Fatalf("beyond the bounds: %+v", e)
		}
		if again, err := ParseEntry(e.Append(nil)); err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%+v became %+v, %v", e, again, err)
		}
	})
}

func TestMessages(t *testing.T) {
	for _, q := range []Question{{}, {"hall", "lobby", "ann", session.ID{1, 15: 2}}} {
		if got, err := ParseQuestion(q.Append(nil)); err != nil || got != q {
			t.Errorf("%+v became %+v, %v", q, got, err)
		}
	}
	for _, a := range []Answer{{}, {Seated, Granted, 1 << 60, Load{other, 3, 5000}}, {Refuses, Full, 0, Load{}}} {
		if got, err := ParseAnswer(a.Append(nil)); err != nil || got != a {
			t.Errorf("%+v became %+v, %v", a, got, err)
		}
	}
	for name, b := range map[string][]byte{
		"nonsense":        {0xc1},
		"half a session":  appendBody(nil, &questionBody{"hall", "lobby", "ann", make([]byte, 8)}),
		"a long key":      appendBody(nil, &questionBody{"hall", strings.Repeat("k", MaxName+1), "ann", make([]byte, 16)}),
		"an answer":       appendBody(nil, &answerBody{Says: uint8(NotHere) + 1}),
		"another refusal": appendBody(nil, &answerBody{Why: uint8(len(refusals))}),
	} {
		_, err := ParseQuestion(b)
		if _, err2 := ParseAnswer(b); !errors.Is(err, ErrMessage) || !errors.Is(err2, ErrMessage) {
			t.Errorf("%s: %v, %v", name, err, err2)
		}
	}
	for why, text := range refusals {
		if text == "" || Refusal(why).String() != text {
			t.Errorf("refusal %d says %q", why, text)
		}
	}
}

// TestNames: a name is one of the directory, whatever type and key are, and no two rooms
// share one.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range [][2]string{
		{"hall", "lobby"}, {"hall", "lobby2"}, {"hal", "llobby"}, {"halll", "obby"}, {"hall", ""}, {"", "hall"}, {"a b/c.*>", "x"}, {"a-b-c---", "x"},
		{strings.Repeat("é", 100), "\x00 \xff"}, {"hall", strings.Repeat("k", 5000)},
	} {
		name := Name(r[0], r[1])
		if seen[name] || len(name) > maxTypeShown+1+32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" || strings.Contains(name, "..") {
			t.Errorf("%q has the name %q", r, name)
		}
		seen[name] = true
	}
	if name := Name("hall", "lobby"); !strings.HasPrefix(name, "hall.") {
		t.Errorf("%q does not tell its type", name)
	}
}
