// SPDX-License-Identifier: MIT

package framework

// loginStorm finds out when one is over: logins and returns that were many beside
// the players that are there, and of which hardly any come now. Each leaves some ten
// kilobytes of garbage behind, so that Go's heap has grown to twice of what
// lives by then, and would stay so for minutes. Owned by the first loop.
type loginStorm struct {
	seen uint64 // of all logins and returns
	size uint64 // of the storm: a sixteenth is forgotten at each look
}

// minStorm logins make a storm.
const minStorm = 10_000

// ended looks, every housekeepingEvery, and reports once for each storm that it has ended.
func (r *loginStorm) ended(total uint64, living int) bool {
	came := total - r.seen
	r.seen = total
	r.size += came - r.size/16
	if r.size < minStorm || r.size < uint64(living)/8 || came > r.size/100 {
		return false
	}
	r.size = 0
	return true
}
