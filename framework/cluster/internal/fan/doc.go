// SPDX-License-Identifier: MIT

// Package fan numbers what a server tells many others, so that each of them sees what it
// has missed: a Counter on the way out, an Inbox on the way in. Neither knows a clock,
// goroutine, lock or network: `now` is handed in. So every order of events can be tried in
// virtual time: simulation_test.go does.
//
// framework/cluster/SPEC.md 12 says why the rules are as they are.
package fan

import "hash/crc32"

// Key names what has an order: the broadcasts of one tag.
type Key struct {
	Kind uint8 // the caller's own, so that tags of different kinds differ
	Tag  string
}

// Position is where a broadcast stands among those of its sender and key. Numbers are
// consecutive from First on.
type Position struct {
	First  uint64 // of the count, which begins anew when it was forgotten
	Number uint64
}

// Buckets is how many subjects groups go by. Interest in a subject travels to every server
// of the bus, so tags, which may be many, share them.
const Buckets = 1024

// Bucket is the one of a tag.
func Bucket(tag string) int { return int(crc32.ChecksumIEEE([]byte(tag)) % Buckets) }
