// SPDX-License-Identifier: MIT

package fan

import (
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

var (
	one = core.Incarnation{Node: 1, Boot: 1}
	two = core.Incarnation{Node: 2, Boot: 1}
	red = Key{Tag: "red"}
)

// TestMarks: a key that is quiet is told of three times, and forgotten with the last one.
// What comes then is above all that was before.
func TestMarks(t *testing.T) {
	var c Counter
	if p := c.Next(red, 0); p != (Position{1, 1}) {
		t.Fatalf("%+v", p)
	}
	if p := c.Next(red, 500*time.Millisecond); p != (Position{1, 2}) {
		t.Fatalf("%+v", p)
	}
	for _, at := range []time.Duration{1500 * time.Millisecond, 10500 * time.Millisecond, 5*time.Minute + 500*time.Millisecond} {
		if next, ok := c.NextMark(); !ok || next != at {
			t.Fatalf("the next mark is at %v, %v, want %v", next, ok, at)
		}
		if early := c.Marks(at - 1); len(early) != 0 {
			t.Errorf("at %v: %+v", at-1, early)
		}
		if due := c.Marks(at); len(due) != 1 || due[0] != (Mark{red, Position{1, 2}}) {
			t.Errorf("at %v: %+v", at, due)
		}
	}
	if next, ok := c.NextMark(); ok || len(c.keys) != 0 {
		t.Errorf("another one at %v, %d keys", next, len(c.keys))
	}
	if p := c.Next(red, time.Hour); p != (Position{3, 3}) {
		t.Errorf("after it was forgotten: %+v", p)
	}
}

// TestTooManyKeys: the one that was quiet for longest is forgotten, and told of before.
func TestTooManyKeys(t *testing.T) {
	var c Counter
	for i := range MaxKeys {
		c.Next(Key{Tag: fmt.Sprint(i)}, time.Duration(i))
	}
	c.Next(Key{Tag: "0"}, MaxKeys)
	c.Next(red, MaxKeys)
	if at, ok := c.NextMark(); !ok || at != 0 {
		t.Errorf("the next mark is at %v, %v", at, ok)
	}
	if due := c.Marks(MaxKeys); len(due) != 1 || due[0].Key.Tag != "1" || len(c.keys) != MaxKeys {
		t.Errorf("%+v, %d keys", due, len(c.keys))
	}
	if p := c.Next(Key{Tag: "0"}, MaxKeys); p != (Position{1, MaxKeys + 3}) && p.First != 1 {
		t.Errorf("the other keys are known: %+v", p)
	}
}

// TestArrive: each is delivered once and in order, and what is skipped was missed.
func TestArrive(t *testing.T) {
	var x Inbox
	x.Add(red)
	for i, c := range []struct {
		from   core.Incarnation
		p      Position
		mark   bool
		want   Arrival
		reason string
	}{
		{one, Position{1, 4}, false, Arrival{Deliver: true}, "the first that is heard of a sender"},
		{one, Position{1, 5}, false, Arrival{Deliver: true}, "the next"},
		{two, Position{9, 9}, false, Arrival{Deliver: true}, "another sender"},
		{one, Position{1, 5}, false, Arrival{Late: true}, "once more"},
		{one, Position{1, 8}, false, Arrival{Deliver: true, Missed: 2}, "two are missing"},
		{one, Position{1, 7}, false, Arrival{Late: true}, "one of them, late: it was told as missed"},
		{one, Position{1, 8}, true, Arrival{}, "a mark without news"},
		{one, Position{1, 9}, true, Arrival{Missed: 1}, "the last one is missing"},
		{one, Position{40, 40}, false, Arrival{Deliver: true}, "a count that began anew"},
		{one, Position{70, 71}, true, Arrival{Missed: 2}, "a count that began anew, and of which nothing came"},
		{one, Position{70, 72}, false, Arrival{Deliver: true}, "its next"},
	} {
		if got := x.Arrive(c.from, red, c.p, c.mark); got != c.want {
			t.Errorf("%d, %s: %+v, want %+v", i, c.reason, got, c.want)
		}
	}
	x.Forget(func(i core.Incarnation) bool { return i == one })
	if got := x.Arrive(one, red, Position{1, 1}, false); got != (Arrival{Deliver: true}) {
		t.Errorf("after it was forgotten: %+v", got)
	}
}

// TestInterest: a bucket is wanted as long as a tag of it is, and a little longer.
func TestInterest(t *testing.T) {
	var x Inbox
	other := Key{Tag: sameBucket(red.Tag)}
	k := Bucket(red.Tag)
	step := func(now time.Duration, begin, end []int) {
		t.Helper()
		if b, e := x.Step(now); fmt.Sprint(b, e) != fmt.Sprint(begin, end) {
			t.Errorf("at %v: %v and %v, want %v and %v", now, b, e, begin, end)
		}
	}
	if !x.Add(red) {
		t.Error("nothing to be done")
	}
	step(0, []int{k}, nil)
	if x.Add(other) {
		t.Error("its bucket is wanted already")
	}
	x.Failed(k)
	step(0, []int{k}, nil)
	x.Arrive(one, red, Position{1, 1}, false)
	if !x.Remove(red, time.Second) || x.Remove(red, time.Second) {
		t.Error("the next step is not told once")
	}
	step(7*time.Second, nil, nil) // of the other tag
	if got := x.Arrive(one, red, Position{1, 3}, false); got != (Arrival{}) {
		t.Errorf("nothing is wanted: %+v", got)
	}
	x.Remove(other, 10*time.Second)
	x.Arrive(one, other, Position{1, 1}, false)
	x.Add(other)
	step(20*time.Second, nil, nil)
	x.Remove(other, 20*time.Second)
	x.Arrive(one, other, Position{1, 3}, false) // not missed: there is no member
	x.Add(other)
	if got := x.Arrive(one, other, Position{1, 5}, false); got != (Arrival{Deliver: true, Missed: 1}) {
		t.Errorf("after its members came again: %+v", got)
	}
	x.Remove(other, 30*time.Second)
	if at, ok := x.NextStep(); !ok || at > 35*time.Second {
		t.Errorf("the next step is at %v, %v", at, ok)
	}
	step(34*time.Second, nil, nil)
	step(35*time.Second, nil, []int{k})
	if _, ok := x.NextStep(); ok || len(x.keys) != 0 || x.Subjects() != 0 {
		t.Errorf("%d keys, %d subjects are left", len(x.keys), x.Subjects())
	}
	x.Always(Key{Kind: 1})
	if got := x.Arrive(one, Key{Kind: 1}, Position{1, 1}, false); !got.Deliver || x.Subjects() != 0 {
		t.Errorf("%+v, %d subjects", got, x.Subjects())
	}
}

// sameBucket finds another tag with the bucket of a tag.
func sameBucket(tag string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprint("tag", i); Bucket(other) == Bucket(tag) {
			return other
		}
	}
}
