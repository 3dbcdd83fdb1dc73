// SPDX-License-Identifier: MIT

package fan

import (
	"container/list"
	"time"
)

// markAfter is when a key's last number is told again that has had no broadcast since: a
// loss at the end would not be noticed else. The second mark is for the one that is lost
// too, and with the last one the key is forgotten.
var markAfter = [...]time.Duration{time.Second, 10 * time.Second, 5 * time.Minute}

// MaxKeys bounds the keys that a Counter knows. Beyond it the one that was quiet for
// longest is forgotten.
const MaxKeys = 1 << 16

// Mark says what the last broadcast of a key was.
type Mark struct {
	Key Key
	Position
}

// counted is a key of a Counter.
type counted struct {
	Mark
	last  time.Duration // when it had its last broadcast
	stage int           // how many marks came since
}

// Counter numbers the broadcasts of one server. The zero value is ready. The caller owns it.
type Counter struct {
	given uint64 // numbers, of all keys: a count that begins anew is above all before
	keys  map[Key]*list.Element
	quiet [len(markAfter)]list.List // by stage: *counted, the one that is quiet for longest first
	early []Mark                    // of keys that were forgotten as they were too many
}

// Next returns the position of the next broadcast.
func (c *Counter) Next(k Key, now time.Duration) Position {
	c.given++
	if at, ok := c.keys[k]; ok {
		e := at.Value.(*counted)
		c.quiet[e.stage].Remove(at)
		e.Number++
		e.last, e.stage = now, 0
		c.keys[k] = c.quiet[0].PushBack(e)
		return e.Position
	}
	if len(c.keys) >= MaxKeys {
		c.forgetOne()
	}
	if c.keys == nil {
		c.keys = map[Key]*list.Element{}
	}
	e := &counted{Mark: Mark{k, Position{c.given, c.given}}, last: now}
	c.keys[k] = c.quiet[0].PushBack(e)
	return e.Position
}

// forgetOne forgets the key that is quiet for longest.
func (c *Counter) forgetOne() {
	for stage := len(c.quiet) - 1; stage >= 0; stage-- {
		if at := c.quiet[stage].Front(); at != nil {
			e := c.quiet[stage].Remove(at).(*counted)
			delete(c.keys, e.Key)
			c.early = append(c.early, e.Mark)
			return
		}
	}
}

// Marks returns what is to be told now, in its order.
func (c *Counter) Marks(now time.Duration) []Mark {
	due := c.early
	c.early = nil
	for stage := range c.quiet {
		for at := c.quiet[stage].Front(); at != nil; at = c.quiet[stage].Front() {
			e := at.Value.(*counted)
			if e.last+markAfter[stage] > now {
				break
			}
			c.quiet[stage].Remove(at)
			due = append(due, e.Mark)
			if e.stage++; e.stage < len(c.quiet) {
				c.keys[e.Key] = c.quiet[e.stage].PushBack(e)
			} else {
				delete(c.keys, e.Key)
			}
		}
	}
	return due
}

// NextMark returns when Marks has something, if it will.
func (c *Counter) NextMark() (at time.Duration, ok bool) {
	if len(c.early) > 0 {
		return 0, true
	}
	for stage := range c.quiet {
		if front := c.quiet[stage].Front(); front != nil {
			if t := front.Value.(*counted).last + markAfter[stage]; !ok || t < at {
				at, ok = t, true
			}
		}
	}
	return at, ok
}
