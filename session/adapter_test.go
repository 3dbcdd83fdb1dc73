// SPDX-License-Identifier: MIT

package session

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestAdapter is no test but the program that framework/conform plays scripts
// to: its README has the language. It runs where LIFELINE_ADAPTER is "core".
func TestAdapter(t *testing.T) {
	if os.Getenv("LIFELINE_ADAPTER") != "core" {
		t.Skip("framework/conform runs it")
	}
	var s *script
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if strings.HasPrefix(in.Text(), "script ") {
			s = &script{t: t, wall: noon, room: 1 << 20}
		} else {
			s.do(in.Text())
		}
		for _, l := range s.lines {
			fmt.Println(l)
		}
		s.lines = nil
		fmt.Println(".")
	}
}
