// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"strconv"
	"strings"
)

// parseVersion reads numbers with dots between. What follows a hyphen or a plus is a
// build, which does not count, and zeros at the end are none.
func parseVersion(text string) ([]uint64, error) {
	if i := strings.IndexAny(text, "-+"); i >= 0 {
		text = text[:i]
	}
	v := []uint64{}
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("framework: %q is no version: want numbers with dots between, as 1.4.2", text)
		}
		v = append(v, n)
	}
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return v, nil
}

// appVersion returns the numbers of the version in what a client says of itself: the
// first word of them, as 1.4.2 in "mygame/1.4.2 ios". Nil without one.
func appVersion(info string) []uint64 {
	words := strings.FieldsFunc(info, func(c rune) bool { return c == ' ' || c == '/' })
	for _, word := range words {
		if v, err := parseVersion(strings.TrimPrefix(word, "v")); err == nil {
			return v
		}
	}
	return nil
}
