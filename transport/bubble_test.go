// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"testing/synctest"
)

// bubble runs test under synctest.
func bubble(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, test)
}
