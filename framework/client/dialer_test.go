// SPDX-License-Identifier: MIT

package client

import (
	"bytes"
	"io"
	"testing"
)

func TestEntropyIsTheAppsUntilThatFails(t *testing.T) {
	e := entropy{from: bytes.NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})}
	if n := e.number(); n != 0x0807060504030201 {
		t.Errorf("a number of the app's bits: %#x", n)
	}
	// One byte is left, and then none.
	if a, b := e.number(), e.number(); a == 9 || a == b {
		t.Errorf("a source that fails makes guessable numbers: %#x, %#x", a, b)
	}
	if n, err := e.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("what makes keys takes less than the app's bits: %d, %v", n, err)
	}
	var none entropy
	if a, b := none.number(), none.number(); a == b {
		t.Errorf("without a source the numbers repeat: %#x", a)
	}
}
