// SPDX-License-Identifier: MIT

package session

import (
	"crypto/sha256"
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
)

// maxRoutesBytes bounds a dictionary, so that the packet that carries it fits
// into any client's limit.
const maxRoutesBytes = 48 << 10

// CheckRoutes refuses a dictionary that no client would take: SPEC 3.12.
func CheckRoutes(routes []string) error {
	size := 0
	seen := make(map[string]bool, len(routes))
	for _, name := range routes {
		if !codec.NamedRoute(name).Valid() || seen[name] {
			return fmt.Errorf("session: route %q is empty, too long or listed twice", name)
		}
		seen[name] = true
		size += 2 + len(name)
	}
	if size > maxRoutesBytes {
		return fmt.Errorf("session: a dictionary of %d routes in %d bytes is too large", len(routes), size)
	}
	return nil
}

// RoutesHash is what tells one dictionary from another: SPEC 3.12. Of an empty
// one it is empty, but not nil.
func RoutesHash(routes []string) []byte {
	if len(routes) == 0 {
		return []byte{}
	}
	h := sha256.New()
	for _, name := range routes {
		_, _ = h.Write(append([]byte{byte(len(name))}, name...))
	}
	return h.Sum(nil)[:8]
}

// learn takes over the dictionary that the server told: nil stands for the one
// whose hash it was told.
func (c *Client) learn(routes []string) error {
	if routes != nil {
		if err := CheckRoutes(routes); err != nil {
			return fmt.Errorf("%w: %w", ErrControl, err)
		}
		c.routes = routes
	}
	c.numbers = len(c.routes) > 0
	return nil
}
