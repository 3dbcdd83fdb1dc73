// SPDX-License-Identifier: MIT

package client

import "time"

// SetSpeed makes the clock of a client that is not connected yet go so many times
// faster than real time.
func (c *Client) SetSpeed(times int) { c.clock.speed = time.Duration(times) }
