// SPDX-License-Identifier: MIT

package session

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSituationsArePlayed: what the table of SITUATIONS.md promises exists, and no
// situation is without a test.
func TestSituationsArePlayed(t *testing.T) {
	known := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "../framework/*_test.go", "../framework/*/*_test.go", "../transport/*_test.go", "../transport/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
				known[string(m[1])] = true
			}
		}
	}
	table, err := os.ReadFile("SITUATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(table)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| no.") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		names := regexp.MustCompile(`\bTest\w+`).FindAllString(line, -1)
		if len(names) == 0 {
			t.Errorf("nobody plays %s", line)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("there is no %s", name)
			}
		}
	}
	if rows < 70 {
		t.Errorf("only %d situations", rows)
	}
}
