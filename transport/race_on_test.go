// SPDX-License-Identifier: MIT

//go:build race

package transport

// raceEnabled: the race detector makes everything ten times as slow.
const raceEnabled = true
