// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
)

// Bus joins the servers of a cluster: a small store that all of them see, questions from
// one to another, and what one tells many. Its methods are safe to call from any goroutine
// and block until they have an answer or ctx ends.
//
// A key is a bucket, a slash and a name: "leases/17". The names have letters, digits, dots
// and dashes. Every write of a key gives it a higher revision.
type Bus interface {
	// Get returns a key's value and revision, as the store's leader knows them: no value
	// if there is none, revision 0 if there never was one.
	Get(ctx context.Context, key string) (value []byte, rev uint64, err error)
	// Put writes a value, or removes it if it is empty, if the key's revision is rev: else
	// the error is ErrConflict. After any other error the value may have been written, or
	// be written later. No value is larger than 1 MiB.
	Put(ctx context.Context, key string, value []byte, rev uint64) (next uint64, err error)
	// Watch calls changed, one call after the other, for every value in a bucket and for
	// every change after that, the last one of a key at least. It returns when it has told
	// what was there. Whenever it may have missed something for a time it calls blind, and
	// then changed for all that is there. It ends when ctx does.
	Watch(ctx context.Context, bucket string, changed func(name string, value []byte, rev uint64), blind func()) error
	// Serve answers questions that are asked under a name, each on a goroutine of its own;
	// without an answer, a nil one, the asker is told nothing. It ends when ctx does.
	Serve(ctx context.Context, name string, answer func(question []byte) []byte) error
	// Ask puts a question to the server of a name. The error is ErrNoServer if no server
	// has received it, and never will. After any other error it may have been received, or
	// be received later: section 13.1 of SPEC.md says why that does no harm.
	Ask(ctx context.Context, name string, question []byte) (answer []byte, err error)
	// Subscribe calls heard for what any server publishes to a subject, this one too, one
	// call after the other, that of one server in its order. It returns once what others
	// publish from now on is heard, or a moment before. It ends when ctx does.
	Subscribe(ctx context.Context, subject string, heard func(message []byte)) error
	// Publish tells all that have subscribed to a subject, each at most once. It waits for
	// none of them. message is not kept.
	Publish(subject string, message []byte) error
}

// freezer is a Bus of tests, framework/gametest's, that can make its server act for nothing
// any more, at once, as if the process had been killed. Else it would until its lease has run
// out.
type freezer interface{ OnFreeze(f func(frozen bool)) }

// ErrConflict refuses a write: another one was faster.
var ErrConflict = errors.New("cluster: the key has another revision")

// ErrNoAnswer says that no answer came to a question, which may have been received.
var ErrNoAnswer = errors.New("cluster: no answer")

// ErrNoServer is an ErrNoAnswer to a question that was surely not received: no server
// answers under the name.
var ErrNoServer = fmt.Errorf("%w: no server has the name", ErrNoAnswer)

// The buckets of a Bus.
const (
	bucketMeta     = "meta"     // what all servers must have alike
	bucketLeases   = "leases"   // by node: the incarnation that has the number, and its renewals
	bucketMembers  = "members"  // by node: how a server describes itself
	bucketDead     = "dead"     // by incarnation: tombstones
	bucketSessions = "sessions" // by user: which server owns which session
	bucketBans     = "bans"     // by user: until when it is kept out
	bucketRooms    = "rooms"    // by type and key: which server has the room
)

// Buckets are the buckets that a Bus must have.
func Buckets() []string {
	return []string{bucketMeta, bucketLeases, bucketMembers, bucketDead, bucketSessions, bucketBans, bucketRooms}
}
