// SPDX-License-Identifier: MIT

//go:build race

package kcp

// The race detector slows the simulations down tenfold, and there is nothing
// concurrent in them.
func init() { defaultSeeds = 100 }
