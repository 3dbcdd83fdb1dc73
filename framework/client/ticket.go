// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ticketLife is how long a ticket that no login has used is kept for the next one.
const ticketLife = time.Minute

// ticketAhead is how long before it is used a ticket is fetched, as a dial takes time.
const ticketAhead = 5 * time.Second

// errTicketUsed tells of a dial in which the minute of a login has ended: session/SPEC.md 6.1.
var errTicketUsed = errors.New("client: the login needs another ticket")

// tickets gets what logs in by Config.Ticket, in one call at a time. Safe to use from
// any goroutine.
type tickets struct {
	call    func(ctx context.Context) ([]byte, error) // nil: every ticket is empty
	timeout time.Duration
	info    int // bytes of Config.Info
	clock   *clock
	ctx     context.Context // of the client: a call ends with it

	mu     sync.Mutex // guards the rest; not held while call runs
	ticket []byte
	ok     bool          // false: it is still to be fetched, or was taken
	keep   time.Duration // until then a dial fetches no other
	runs   *fetch        // nil: no call does
}

// fetch is a call of Config.Ticket.
type fetch struct {
	done chan struct{} // closed when it has returned; then
	err  error
}

// take returns the ticket of the next login, where one is ready. Another login gets
// another one: a server must not see a ticket with two opening ids.
func (t *tickets) take() (ticket []byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ticket, ok = t.ticket, t.ok || t.call == nil
	t.ticket, t.ok = nil, false
	return ticket, ok
}

// due reports whether another login has to fetch a ticket first.
func (t *tickets) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.call != nil && (!t.ok || t.clock.now() >= t.keep)
}

// fetch makes a ticket ready, or tells why there is none. The call may hang beyond its
// time: then the next fetch waits for the same one.
func (t *tickets) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	t.mu.Lock()
	f := t.runs
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		t.runs, t.ok = f, false
		go t.run(f) // ends when the app's function has returned
	}
	t.mu.Unlock()
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
		return fmt.Errorf("client: no ticket within %v: %w", t.timeout, err)
	}
	return fmt.Errorf("client: no ticket: %w", err)
}

func (t *tickets) run(f *fetch) {
	ctx, cancel := context.WithTimeout(t.ctx, t.timeout)
	defer cancel()
	ticket, err := t.call(ctx)
	if err == nil && len(ticket)+t.info > maxLogin {
		err = fmt.Errorf("%d bytes of Config.Ticket and %d of Config.Info: a server takes %d together", len(ticket), t.info, maxLogin)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.runs, f.err = nil, err; err == nil {
		t.ticket, t.ok, t.keep = ticket, true, t.clock.now()+ticketLife
	}
	close(f.done)
}
