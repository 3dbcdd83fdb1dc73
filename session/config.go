// SPDX-License-Identifier: MIT

package session

import (
	"cmp"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Config says how the sessions of a server live. The zero value works.
type Config struct {
	// Interval is the time between heartbeats of an idle client. If zero, 10 s.
	Interval time.Duration
	// Timeout is the silence after which a link is dead. If zero, 3.5 intervals.
	Timeout time.Duration
	// Grace is how long a session without a link waits for its player. If
	// zero, 60 s. If negative, none.
	Grace time.Duration
	// MaxAge is the longest life of a session. If zero, 24 h. If negative, none.
	MaxAge time.Duration
	// ReconnectWindow is the time over which clients spread their return after
	// the server closed their links. If zero, 2 s.
	ReconnectWindow time.Duration
	// OpeningTimeout is how long a link has for its HELLO or RESUME, and how
	// long a session without any received packet waits for a repeated HELLO. If
	// zero, 5 s.
	OpeningTimeout time.Duration
	// MaxBody is the largest body of a packet in bytes, either way. If zero,
	// 64 KiB. A client ends if that is above its MaxReceive, 1 MiB by default.
	MaxBody int
	// SendPackets and SendBytes bound what waits for one player, acknowledged
	// not yet. If zero, 1,024 packets and 256 KiB.
	SendPackets, SendBytes int
	// RecvPackets and RecvBytes bound what a client may have unacknowledged.
	// If zero, 256 packets and 128 KiB.
	RecvPackets, RecvBytes int
	// Tick is the resolution of timeouts. If zero, 250 ms.
	Tick time.Duration
	// Reopens tells clients that another server may go on with their session when this one
	// is lost: SPEC 6.8. Package framework sets it.
	Reopens bool

	first uint64 // tests: counters start here, as after a very long life
}

// WithDefaults returns c with every zero field filled in, or an error that
// names the field that can't work.
func (c Config) WithDefaults() (Config, error) {
	c.Interval = cmp.Or(c.Interval, 10*time.Second)
	c.Timeout = cmp.Or(c.Timeout, c.Interval*7/2)
	c.Grace = cmp.Or(c.Grace, time.Minute)
	c.MaxAge = cmp.Or(c.MaxAge, 24*time.Hour)
	c.ReconnectWindow = cmp.Or(c.ReconnectWindow, 2*time.Second)
	c.OpeningTimeout = cmp.Or(c.OpeningTimeout, 5*time.Second)
	c.MaxBody = cmp.Or(c.MaxBody, codec.DefaultMaxBody)
	c.SendPackets, c.SendBytes = cmp.Or(c.SendPackets, 1024), cmp.Or(c.SendBytes, 256<<10)
	c.RecvPackets, c.RecvBytes = cmp.Or(c.RecvPackets, 256), cmp.Or(c.RecvBytes, 128<<10)
	c.Tick = cmp.Or(c.Tick, 250*time.Millisecond)
	c.Grace = max(c.Grace, 0)
	if c.MaxAge < 0 || c.MaxAge > Never/2 {
		c.MaxAge = Never
	}
	if err := c.CheckProfile(c.Interval, c.Timeout); err != nil {
		return c, err
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Grace", c.Grace}, {"MaxAge", c.MaxAge}, {"ReconnectWindow", c.ReconnectWindow}, {"OpeningTimeout", c.OpeningTimeout}, {"Tick", c.Tick}} {
		if d.value > 0 && d.value < time.Millisecond { // a number without its unit
			return c, fmt.Errorf("session: %s %v is less than 1 ms", d.name, d.value)
		}
	}
	// What is acknowledged at once is a quarter of the window (SPEC 4.4). The
	// rest must hold a largest body, or it would wait for the next heartbeat.
	largest := c.MaxBody * 4 / 3
	switch {
	case c.Grace > maxDuration:
		return c, fmt.Errorf("session: Grace %v is above %v", c.Grace, maxDuration)
	case c.OpeningTimeout < 0 || c.OpeningTimeout > maxDuration:
		return c, fmt.Errorf("session: OpeningTimeout %v is outside 0 ... %v", c.OpeningTimeout, maxDuration)
	case c.ReconnectWindow < 0 || c.ReconnectWindow > maxDuration:
		return c, fmt.Errorf("session: ReconnectWindow %v is outside 0 ... %v", c.ReconnectWindow, maxDuration)
	case c.MaxBody < 512 || c.MaxBody >= 1<<28:
		return c, fmt.Errorf("session: MaxBody %d is outside 512 ... 2^28-1", c.MaxBody)
	case c.SendPackets < 1 || c.SendPackets > maxWindow:
		return c, fmt.Errorf("session: SendPackets %d is outside 1 ... %d", c.SendPackets, maxWindow)
	case c.RecvPackets < 1 || c.RecvPackets > maxWindow:
		return c, fmt.Errorf("session: RecvPackets %d is outside 1 ... %d", c.RecvPackets, maxWindow)
	case c.SendBytes < largest || c.SendBytes > maxBytes:
		return c, fmt.Errorf("session: SendBytes %d is outside 4/3 MaxBody %d ... %d", c.SendBytes, largest, maxBytes)
	case c.RecvBytes < largest || c.RecvBytes > maxBytes:
		return c, fmt.Errorf("session: RecvBytes %d is outside 4/3 MaxBody %d ... %d", c.RecvBytes, largest, maxBytes)
	}
	return c, nil
}

// CheckProfile refuses a heartbeat profile that can't work.
func (c *Config) CheckProfile(interval, timeout time.Duration) error {
	switch {
	case interval < time.Millisecond || interval > maxDuration/2:
		return fmt.Errorf("session: Interval %v is outside 1 ms ... %v", interval, maxDuration/2)
	case timeout < 2*interval || timeout > maxDuration:
		return fmt.Errorf("session: Timeout %v is less than two intervals of %v, so that one lost heartbeat would end a link, or above %v", timeout, interval, maxDuration)
	case c.Tick <= 0 || c.Tick > timeout/4:
		return fmt.Errorf("session: Tick %v does not resolve a Timeout of %v", c.Tick, timeout)
	}
	return nil
}

// params is what this configuration dictates to a client whose session has
// the given profile.
func (c *Config) params(interval, timeout time.Duration) Params {
	return Params{
		Interval: interval, Timeout: timeout, Grace: c.Grace, Window: c.ReconnectWindow,
		MaxBody: c.MaxBody, Packets: c.RecvPackets, Bytes: c.RecvBytes, Reopens: c.Reopens,
	}
}
