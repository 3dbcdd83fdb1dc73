// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"unsafe"
)

func TestPlainLinkFitsItsSizeClass(t *testing.T) {
	if got := unsafe.Sizeof(plainLink{}); got > 208 {
		t.Errorf("a plain-KCP link takes %d bytes, which rounds up to 224 or more", got)
	}
}
