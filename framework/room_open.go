// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"encoding/base32"
	"errors"
	"io"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// openedLinger is how long a room that was opened waits for its first member at
// least.
const openedLinger = time.Minute

// Open makes a room with these parameters, before anybody is in it, and returns its
// key, which can't be guessed. It waits for make and OnCreate, whose error it
// returns; ctx bounds the wait, not the making. If nobody comes the room ends after
// a minute, or after Linger if that is longer. The room counts for Most: when there
// are as many as may be and none is empty, the error is one of codec.ErrorBusy. Not
// to be called by a callback of a room that the new one would wait for, and with
// Config.Cluster not before Start: that is an error. With Config.Cluster, and of a type that has
// OnSave and OnRestore, the key means this one room, wherever it goes: when it has ended, or its
// server has died, there is none. Any other key is that of a new room then.
func (rs *RoomsOf[R, P]) Open(ctx context.Context, params P) (key string, err error) {
	k := rs.kind
	done := make(chan error, 1)
	k.mu.Lock()
	if k.plan.IsEnding() {
		k.mu.Unlock()
		return "", refusal(codec.ErrorBusy, "the server is shutting down")
	}
	if k.awaitsCluster() {
		k.mu.Unlock()
		return "", errOpenEarly
	}
	if err := k.mayMakeLocked(nil); err != nil {
		k.mu.Unlock()
		return "", err
	}
	key, err = k.secretKeyLocked()
	if err != nil {
		k.mu.Unlock()
		return "", err
	}
	r := k.makeLocked(key, birth{params: params, told: func(err error) { done <- err }})
	r.lingerLocked(openedLinger)
	k.mu.Unlock()
	select {
	case err := <-done:
		return key, err
	case <-ctx.Done():
		return key, ctx.Err()
	}
}

// errOpenEarly says that a room would wait for a server that waits for it.
var errOpenEarly = errors.New("framework: Open before Start: with Config.Cluster rooms run, and their keys name the server, only then")

// awaitsCluster reports whether the server has not joined its cluster yet. The caller holds mu.
func (k *roomKind) awaitsCluster() bool {
	return k.srv.cfg.Cluster != nil && k.srv.stage.Load() == registering || k.clustered() && k.plan.Prefix == ""
}

// secretKeyLocked returns a key that no room has and that can't be guessed.
func (k *roomKind) secretKeyLocked() (string, error) {
	for {
		var b [10]byte
		if _, err := io.ReadFull(k.srv.cfg.Rand, b[:]); err != nil {
			return "", err
		}
		if key := k.plan.Prefix + base32.HexEncoding.EncodeToString(b[:]); k.plan.Get(key) == nil {
			return key, nil
		}
	}
}
