// SPDX-License-Identifier: MIT

//go:build race

package codec

// raceEnabled: under the race detector sync.Pool drops things on purpose, so
// that allocations can't be counted.
const raceEnabled = true
