// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ticketLife is how long the attempts to log in repeat their ticket, as the
// core does: only so the server knows that they are the same attempt.
const ticketLife = time.Minute

// fetch is a call of Config.Ticket.
type fetch struct {
	done chan struct{} // closed when it has returned; then
	err  error
}

// fetchTicket makes a ticket ready for the core's next HELLO, or notes why there
// is none. Ticket may hang beyond its time: then the next attempt waits for the
// same call. mu is not held.
func (c *Client) fetchTicket(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ticketTimeout())
	defer cancel()
	c.mu.Lock()
	f := c.fetching
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		c.fetching, c.ticketOK = f, false
		go c.callTicket(f) // ends when the app's function has returned
	}
	c.mu.Unlock()
	var err error
	select {
	case <-f.done:
		err = f.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("client: no ticket within %v: %w", c.cfg.ticketTimeout(), err)
	}
	return fmt.Errorf("client: no ticket: %w", err)
}

func (c *Client) callTicket(f *fetch) {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.ticketTimeout())
	defer cancel()
	t, err := c.cfg.Ticket(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fetching, f.err = nil, err; err == nil {
		c.ticket, c.ticketOK, c.ticketFor = t, true, c.clock.now()+ticketLife
	}
	close(f.done)
}
