// SPDX-License-Identifier: MIT

package swarm

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCommandsOfTheGuide: the command has every flag that the guide uses, and every limit is one.
func TestCommandsOfTheGuide(t *testing.T) {
	b, err := os.ReadFile("../../docs/load-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	flags := flag.NewFlagSet("bots", flag.ContinueOnError)
	command(t.Context(), flags, []string{"-limit", "none"}, &strings.Builder{}, &strings.Builder{}, Config{}, asking)
	used := regexp.MustCompile("[ `]-([a-z]+)").FindAllStringSubmatch(string(b), -1)
	if len(used) < 10 {
		t.Errorf("%d flags found", len(used))
	}
	for _, m := range used {
		if name := m[1]; flags.Lookup(name) == nil && name != "o" {
			t.Errorf("the guide uses -%s, which there is not", name)
		}
	}
	for _, m := range regexp.MustCompile(`-limit "([^"]+)"|Limits: \[\]string\{("[^}]+")\}|`+"\\| `([^|]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		for _, text := range strings.FieldsFunc(m[1]+m[2]+m[3], func(r rune) bool { return r == '"' || r == ',' || r == '`' }) {
			if text = strings.TrimSpace(text); strings.ContainsAny(text, "<=>") {
				if _, err := parseLimit(text); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
