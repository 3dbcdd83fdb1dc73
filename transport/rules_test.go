// SPDX-License-Identifier: MIT

package transport

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestClockIsReadInOnePlace(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := regexp.MustCompile(`time\.(Now|Since|Until)\(`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(read.FindAll(b, -1)); n > 0 && name != "loop.go" {
			t.Errorf("%s reads the clock", name)
		}
	}
}
