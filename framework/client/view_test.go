// SPDX-License-Identifier: MIT

package client

import "testing"

// What is called for something new may look at it and change what is called next.
func TestViewMayBeUsedFromItsCallback(t *testing.T) {
	var v view[int]
	v.take(1)
	var got []int
	v.call(func(n int) {
		got = append(got, n, v.get())
		v.call(nil)
	})
	v.take(2)
	v.take(3)
	if len(got) != 2 || got[0] != 2 || got[1] != 2 || v.get() != 3 {
		t.Errorf("called with %v, the newest is %d", got, v.get())
	}
}

// The watches of a session end with it. What answered them may be taken only after that.
func TestAnAnswerToAWatchOfASessionThatHasEnded(t *testing.T) {
	c, err := New([]string{"tcp://server:1"}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFriends(c)
	bob := []UserState{{User: "bob", Presence: Online}}
	f.watched(0, nil, bob)
	if len(f.All()) != 1 {
		t.Errorf("watched: %v", f.All())
	}
	c.sessionEnded(&Event{})
	f.watched(0, nil, bob)
	if len(f.All()) != 0 {
		t.Errorf("after the end of the session: %v", f.All())
	}
	f.watched(1, nil, bob)
	if len(f.All()) != 1 {
		t.Errorf("in the next session: %v", f.All())
	}
}
