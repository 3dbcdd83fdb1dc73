// SPDX-License-Identifier: MIT

package transport

import (
	"fmt"
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

// The table of THREATS.md names tests that exist.
func TestThreatsNameTheirTests(t *testing.T) {
	table, err := os.ReadFile("THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"s": "seal", "k": "kcp", "t": ".", "S": "../session", "f": "../framework"}
	sources := map[string]string{}
	for key, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources[key] += string(b)
		}
	}
	word := regexp.MustCompile("(?:\\b([sktSf]) )?`((?:Test|Fuzz)\\w+)`")
	rows := 0
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "| T") {
			if rows++; !strings.HasPrefix(line, fmt.Sprintf("| T%d |", rows)) {
				t.Errorf("row %d: %.10s", rows, line)
			}
		}
		in := ""
		for _, m := range word.FindAllStringSubmatch(line, -1) {
			if m[1] != "" {
				in = m[1]
			}
			if !strings.Contains(sources[in], "func "+m[2]+"(") {
				t.Errorf("no %s in %s", m[2], dirs[in])
			}
		}
	}
	if rows == 0 {
		t.Error("an empty table")
	}
}
