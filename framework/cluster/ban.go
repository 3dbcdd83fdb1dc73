// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
)

// bans are the users that are kept out, as every server knows them from the directory. The
// zero value has none.
type bans struct {
	mu sync.Mutex
	// Guarded by mu.
	byKey  map[string][]banBody
	fresh  []freshBan // young enough that a login may be under way which has not seen it
	sweeps bool       // a goroutine ends sessions of fresh
}

type freshBan struct {
	user string
	told time.Duration
}

// banBody is a ban in the directory. Bans of users with the same key stand together.
type banBody struct {
	User  string
	Until int64 // in milliseconds since 1970; 0 for ever
	Text  string
}

type bansBody struct {
	Version uint8
	Bans    []banBody
}

const bansVersion = 1

func (b *banBody) over(now time.Time) bool { return b.Until != 0 && now.UnixMilli() >= b.Until }

// reason is how the user's client is told. Detail is the end in seconds since 1970.
func (b *banBody) reason() framework.Reason {
	return framework.Reason{Code: session.Banned, Text: b.Text, Detail: uint64((b.Until + 999) / 1000)}
}

// Ban keeps a user out of all servers until then, or for ever if that is the zero time. A
// session of the user ends within a moment, at whichever server it is, with CodeBanned and
// the text, which is for people. So does one that would come from another server, and a
// login is refused, after Authenticate. The client finds the end, in seconds since 1970, in
// CloseError.Detail, 0 for none. A ban replaces the one before.
//
// It blocks until the directory has it, or ctx ends: then it may be there all the same. All
// servers keep all bans in memory. They are meant for thousands of users; a game that bans
// more asks its own database in Authenticate.
func (c *Cluster) Ban(ctx context.Context, user string, until time.Time, text string) error {
	b := banBody{User: user, Text: text}
	if !until.IsZero() {
		b.Until = until.UnixMilli()
	}
	switch {
	case user == "":
		return errors.New("cluster: a ban of a user without a name")
	case b.over(clock()):
		return fmt.Errorf("cluster: a ban until %v, which has passed", until)
	}
	return c.changeBan(ctx, user, &b)
}

// Unban lets a user in again. It blocks as Ban does.
func (c *Cluster) Unban(ctx context.Context, user string) error { return c.changeBan(ctx, user, nil) }

// ErrBans says that the bans in the directory are not understood.
var ErrBans = errors.New("cluster: bans of a version that is not known here")

// changeBan writes a user's ban, or takes it away if b is nil.
func (c *Cluster) changeBan(ctx context.Context, user string, b *banBody) error {
	if !c.messages.isOpen() {
		return errOutside
	}
	name := c.userKey(user)
	key := bucketBans + "/" + name
	for {
		err := c.tryBan(ctx, key, name, user, b)
		if err == nil || errors.Is(err, ErrBans) {
			return err
		}
		if !errors.Is(err, ErrConflict) && !pause(ctx, 100*time.Millisecond) || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(err, ctx.Err()))
		}
	}
}

func (c *Cluster) tryBan(ctx context.Context, key, name, user string, b *banBody) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	value, rev, err := c.bus.Get(ctx, key)
	if err != nil {
		return err
	}
	list, err := decodeBans(value)
	if err != nil {
		return err
	}
	now, next := clock(), []banBody{}
	for _, old := range list {
		if old.User != user && !old.over(now) {
			next = append(next, old)
		}
	}
	if b != nil {
		next = append(next, *b)
	}
	// A key without bans keeps a value: a watch does not tell of those that were removed.
	value = encode(&bansBody{bansVersion, next})
	if rev, err = c.bus.Put(ctx, key, value, rev); err != nil {
		return err
	}
	c.bansChanged(name, value, rev)
	return nil
}

func decodeBans(value []byte) ([]banBody, error) {
	var body bansBody
	if len(value) == 0 {
		return nil, nil
	}
	if err := decode(value, &body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBans, err)
	}
	if body.Version != bansVersion {
		return nil, fmt.Errorf("%w: %d", ErrBans, body.Version)
	}
	return body.Bans, nil
}

// bansChanged takes a key of the directory over, and ends the sessions that it bans.
func (c *Cluster) bansChanged(name string, value []byte, _ uint64) {
	list, err := decodeBans(value)
	if err != nil {
		c.log.Error("bans are not understood", "key", name, "error", err)
		return
	}
	b := &c.bans
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byKey == nil {
		b.byKey = map[string][]banBody{}
	}
	if len(list) == 0 {
		delete(b.byKey, name)
		return
	}
	b.byKey[name] = list
	if !c.messages.isOpen() { // what was there when this server joined
		return
	}
	for i := range list {
		b.fresh = append(b.fresh, freshBan{list[i].User, c.now()})
	}
	if !b.sweeps {
		b.sweeps = true
		go c.sweepBans() // ends with the last fresh ban, or with the cluster's ctx
	}
}

const (
	// freshTime is how long a login may take that has not seen a ban, from the check
	// after its claim until its session can be ended.
	freshTime  = 5 * time.Second
	sweepEvery = 200 * time.Millisecond
)

// sweepBans ends the sessions of users that were banned just now.
func (c *Cluster) sweepBans() {
	b := &c.bans
	for {
		b.mu.Lock()
		users := make([]string, 0, len(b.fresh))
		young := b.fresh[:0]
		for _, f := range b.fresh {
			users = append(users, f.user)
			if c.now()-f.told < freshTime {
				young = append(young, f)
			}
		}
		b.fresh, b.sweeps = young, len(young) > 0 && c.ctx.Err() == nil
		goOn := b.sweeps
		b.mu.Unlock()
		for _, user := range users {
			if why, ok := c.banned(user); ok {
				kickAll(c.host.User(user), why)
			}
		}
		if !goOn {
			return
		}
		pause(c.ctx, sweepEvery)
	}
}

// banned returns why a user is kept out, if it is.
func (c *Cluster) banned(user string) (why framework.Reason, ok bool) {
	b := &c.bans
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.byKey) == 0 {
		return why, false
	}
	for _, at := range b.byKey[c.userKey(user)] {
		if at.User == user && !at.over(clock()) {
			return at.reason(), true
		}
	}
	return why, false
}

// banRefusal is the answer to the client of a user that is kept out, nil if it is not.
func (c *Cluster) banRefusal(user string) error {
	why, ok := c.banned(user)
	if !ok {
		return nil
	}
	return &session.CloseError{Code: why.Code, Text: why.Text, Detail: why.Detail}
}

// banStays is how long a ban that is over is remembered: a wall clock may be set back.
const banStays = time.Hour

// forget forgets the users whose bans are over. In the directory they stay, as a watch does not
// tell of what is removed.
func (b *bans) forget(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.byKey, func(_ string, list []banBody) bool {
		return !slices.ContainsFunc(list, func(x banBody) bool { return !x.over(now.Add(-banStays)) })
	})
}

func (b *bans) len() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range b.byKey {
		n += len(list)
	}
	return n
}
