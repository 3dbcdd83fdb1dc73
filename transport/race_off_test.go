// SPDX-License-Identifier: MIT

//go:build !race

package transport

const raceEnabled = false
