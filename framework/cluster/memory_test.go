// SPDX-License-Identifier: MIT

package cluster_test

import (
	"testing"

	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/bustest"
)

// TestMemory: the bus of one process is one as package cluster relies on.
func TestMemory(t *testing.T) {
	bus := new(cluster.Memory)
	bustest.Run(t, bus, bus)
}
