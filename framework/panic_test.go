// SPDX-License-Identifier: MIT

package framework_test

import (
	"fmt"
	"testing"
)

// wantPanic calls f, which must panic with that text.
func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); got != want {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	f()
}
