// SPDX-License-Identifier: MIT

package framework

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"time"
)

// Rate bounds what one sender may send for long: a token bucket. It may be
// ahead of the rate by Burst; what it sends then is too much, and by twice
// Burst it is far too much.
type Rate struct {
	// Messages a second. If zero, 1,000. If negative, any number.
	Messages int
	// Bytes of bodies a second. If zero, 1 MiB. If negative, any number.
	Bytes int
	// Burst is how much may come at once, as the time that the rate takes for
	// it. If zero, 5 s.
	Burst time.Duration
}

// withDefaults returns r with every zero field filled in, or an error that
// names the field that can't work.
func (r Rate) withDefaults() (Rate, error) {
	r.Messages, r.Bytes, r.Burst = cmp.Or(r.Messages, 1000), cmp.Or(r.Bytes, 1<<20), cmp.Or(r.Burst, 5*time.Second)
	if r.Burst < time.Millisecond || r.Burst > maxBurst {
		return r, fmt.Errorf("framework: Rate.Burst %v is outside 1 ms ... %v", r.Burst, maxBurst)
	}
	return r, nil
}

// maxBurst keeps debt unambiguous.
const maxBurst = time.Hour

// excess says how far a sender is ahead of its rate.
type excess uint8

const (
	withinRate  excess = iota
	overRate           // by more than Burst
	farOverRate        // by more than twice Burst
)

// debt is how far one sender is ahead of its Rate, in four bytes: the moment,
// in units of debtUnit, at which it will have made good for everything it has
// sent. A message costs the time that the rate takes for it, by number or by
// size, whichever is more. The zero value owes nothing.
type debt uint32

// debtUnit is as short as four bytes of it may be: nineteen hours.
const debtUnit = 1 << 14 * time.Nanosecond

// cost is the time that r takes for so many messages and bytes, whichever is
// more: an hour at most, and 0 if r bounds neither.
func (r *Rate) cost(messages int, bytes int64) time.Duration {
	cost := 0.0 // seconds
	if r.Messages > 0 {
		cost = float64(messages) / float64(r.Messages)
	}
	if r.Bytes > 0 {
		cost = max(cost, float64(bytes)/float64(r.Bytes))
	}
	return time.Duration(min(cost, maxBurst.Seconds()) * float64(time.Second))
}

// add charges a cost at now.
func (d *debt) add(r *Rate, cost, now time.Duration) excess {
	if r.Messages < 0 && r.Bytes < 0 {
		return withinRate
	}
	owed, burst := d.owed(r, now)+max(cost/debtUnit, 1), r.Burst/debtUnit
	excess := withinRate
	switch {
	case owed > 2*burst:
		excess, owed = farOverRate, 2*burst // no more than can be told apart from the past
	case owed > burst:
		excess = overRate
	}
	*d = debt(now/debtUnit + owed)
	return excess
}

// addFor charges what is done on the sender's behalf beside taking its messages,
// as sending them on to others: an eighth of Burst at most. It makes no
// sender farOverRate. Only sending on does.
func (d *debt) addFor(r *Rate, cost, now time.Duration) excess {
	most := r.Burst / 8
	cost = min(cost, most)
	if cost <= 0 || d.owed(r, now)*debtUnit > 2*r.Burst-2*most {
		cost = 0
	}
	return d.add(r, cost, now)
}

// ahead is how long the sender has to rest until it owes no more than seven
// eighths of Burst.
func (d *debt) ahead(r *Rate, now time.Duration) time.Duration {
	return max(d.owed(r, now)*debtUnit-(r.Burst-r.Burst/8), 0)
}

// settle forgets a debt that was made good. Called every few hours at least, it
// keeps what is long past from looking like what is to come.
func (d *debt) settle(r *Rate, now time.Duration) {
	if d.owed(r, now) == 0 {
		*d = debt(now / debtUnit)
	}
}

// owed is in units.
func (d *debt) owed(r *Rate, now time.Duration) time.Duration {
	ahead := time.Duration(int32(*d - debt(now/debtUnit)))
	if ahead < 0 || ahead > 2*r.Burst/debtUnit {
		return 0
	}
	return ahead
}

// account is a debt that any goroutine may add to.
type account struct{ atomic.Uint32 }

// now is the debt.
func (a *account) now() debt { return debt(a.Load()) }

// update changes the debt. f may be called again, with the debt as it is by then.
func (a *account) update(f func(d *debt) excess) excess {
	for {
		old := a.Load()
		d := debt(old)
		x := f(&d)
		if a.CompareAndSwap(old, uint32(d)) {
			return x
		}
	}
}

// charge adds what was received.
func (a *account) charge(r *Rate, cost, now time.Duration) excess {
	return a.update(func(d *debt) excess { return d.add(r, cost, now) })
}

// settle forgets a debt that was made good.
func (a *account) settle(r *Rate, now time.Duration) {
	a.update(func(d *debt) excess {
		d.settle(r, now)
		return withinRate
	})
}
