// SPDX-License-Identifier: MIT

package codec

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The codes of SPEC 6.3 are those of the package, with the same names.
func TestErrorCodesAreThoseOfTheSpec(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(spec), "### 6.3")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| ([A-Z ]+) \|`).FindAllStringSubmatch(table, -1)
	if len(rows) != len(errorNames)-1 {
		t.Errorf("%d codes in SPEC 6.3, %d in the package", len(rows), len(errorNames)-1)
	}
	for _, r := range rows {
		n, _ := strconv.Atoi(r[1])
		if got, want := ErrorCode(n).String(), strings.ToLower(r[2]); got != want {
			t.Errorf("code %d is %q, in SPEC 6.3 %q", n, got, want)
		}
	}
	if got := ErrorCode(0).String() + ", " + GameError.String(); got != "code 0, code 1000" {
		t.Errorf("got %s", got)
	}
}
