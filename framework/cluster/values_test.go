// SPDX-License-Identifier: MIT

package cluster

import (
	"os"
	"strings"
	"testing"
)

// TestNoNATS: the bus on NATS is a module of its own, so a game without it has no NATS in
// its go.sum, not to speak of its program.
func TestNoNATS(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	if err != nil || strings.Contains(string(b), "nats-io") {
		t.Errorf("the main module requires NATS, or can't be read: %v", err)
	}
}
