// SPDX-License-Identifier: MIT

package framework

import (
	"testing"
	"unsafe"
)

func TestPlayerFitsItsSizeClass(t *testing.T) {
	if got := unsafe.Sizeof(Player{}); got > 416 {
		t.Errorf("a Player takes %d bytes, which rounds up to 448 or more: what few players need belongs into extra", got)
	}
}
