// SPDX-License-Identifier: MIT

//go:build !race

package codec

const raceEnabled = false
