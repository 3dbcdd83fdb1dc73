// SPDX-License-Identifier: MIT

package load

// Counts is what went wrong.
type Counts struct {
	Lost    int `json:"lost"`     // sessions whose link broke
	Refused int `json:"refused"`  // sessions that never came to be
	Timeout int `json:"timeouts"` // sessions that waited longer than a second when the window ended
	Wrong   int `json:"wrong"`    // answers that were not what was sent
}

// Sum returns how many errors there are.
func (c Counts) Sum() int { return c.Lost + c.Refused + c.Timeout + c.Wrong }
