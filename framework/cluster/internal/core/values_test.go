// SPDX-License-Identifier: MIT

package core

import (
	"errors"
	"reflect"
	"testing"

	"github.com/lifeline-go/lifeline/session"
)

func TestValues(t *testing.T) {
	for _, entries := range [][]Entry{
		nil,
		{{Session: session.ID{1, 15: 2}, User: "ann", Owner: Incarnation{17, 0x3f2a9c01}, Gen: 3}},
		{{Session: session.ID{1}, User: "", Gen: 1 << 60, Record: []byte("record"), Login: []byte("login")}, {Session: session.ID{2}, Owner: Incarnation{1, 0}}},
	} {
		got, err := ParseEntries(AppendEntries(nil, entries))
		if err != nil || !reflect.DeepEqual(got, entries) {
			t.Errorf("%+v became %+v, %v", entries, got, err)
		}
	}
	for _, v := range []LeaseValue{{Owner: Incarnation{7, 9}, Counter: 5}, {Owner: Incarnation{7, 0xffffffff}, Dead: true}} {
		if got, err := ParseLease(7, v.Append(nil)); err != nil || got != v {
			t.Errorf("%+v became %+v, %v", v, got, err)
		}
	}
	if v, err := ParseLease(7, nil); err != nil || v != (LeaseValue{}) {
		t.Errorf("of nothing: %+v, %v", v, err)
	}
	for _, bad := range []string{"\xc1", "\x92\x02\x90", "\x92\x01\x91\x91\xc4\x01\x00"} {
		if _, err := ParseEntries([]byte(bad)); !errors.Is(err, ErrEntries) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ParseLease(7, []byte("\xc1")); !errors.Is(err, ErrEntries) {
		t.Errorf("a lease of nonsense: %v", err)
	}
}

func TestIncarnation(t *testing.T) {
	i := Incarnation{17, 0x3f2a9c01}
	if got, err := ParseIncarnation(i.String()); err != nil || got != i || i.String() != "17.3f2a9c01" {
		t.Errorf("%v became %v, %v", i, got, err)
	}
	for _, bad := range []string{"", "17", "17.3f2a9c0", "017.3f2a9c01", "17.3f2a9c01 ", "70000.3f2a9c01"} {
		if _, err := ParseIncarnation(bad); !errors.Is(err, ErrIncarnation) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestKeyFollowsFromTheID: all sessions of a user are under one key, of others mostly not.
func TestKeyFollowsFromTheID(t *testing.T) {
	secret := session.Secret{1}
	one := func(user string, n byte) session.ID {
		id, err := session.NewUserID(uint16(n), uint32(n), secret.UserHash(user), &fixed{[]byte{n}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if Key(one("ann", 1)) != Key(one("ann", 2)) || Key(one("ann", 1)) == Key(one("bob", 1)) {
		t.Error(Key(one("ann", 1)), Key(one("ann", 2)), Key(one("bob", 1)))
	}
	if secret.UserHash("ann") == (session.Secret{2}).UserHash("ann") {
		t.Error("it follows from the user alone: a stranger could compute it")
	}
}
