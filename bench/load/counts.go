// SPDX-License-Identifier: MIT

package load

// Counts is what went wrong.
type Counts struct {
	Lost    int `json:"lost"`     // sessions that are gone, or whose link broke where none may
	Refused int `json:"refused"`  // sessions that never came to be
	Timeout int `json:"timeouts"` // sessions that waited longer than a second when the window ended
	Wrong   int `json:"wrong"`    // answers and messages that were not what was sent, or not the next one
	Full    int `json:"full"`     // requests of an open loop that a client had no room for
}

// Sum returns how many errors there are.
func (c Counts) Sum() int { return c.Lost + c.Refused + c.Timeout + c.Wrong + c.Full }

// Add adds what went wrong elsewhere.
func (c *Counts) Add(o Counts) {
	c.Lost += o.Lost
	c.Refused += o.Refused
	c.Timeout += o.Timeout
	c.Wrong += o.Wrong
	c.Full += o.Full
}
