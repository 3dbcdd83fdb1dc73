// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// frozen is what protocol version 1 consists of, as files: SPEC 15. The tests of
// their packages play them all, by these patterns.
var frozen = []string{
	"codec/testdata/vectors.json", "session/testdata/vectors.json", "transport/seal/testdata/vectors.json",
	"session/testdata/scripts/*.txt", "session/testdata/scripts/carriers/*.txt", "transport/kcp/testdata/scripts/*.txt", "transport/seal/testdata/scripts/*.txt",
	"framework/client/testdata/scripts/*.txt", "framework/client/testdata/conversation-*.txt",
}

const manifest = "testdata/v1.sums"

// TestFrozen: what testdata/v1.sums lists is as it was: files whole, arrays of
// vectors.json up to the number of entries that they had. -update appends what is new,
// and changes no line.
func TestFrozen(t *testing.T) {
	text, err := os.ReadFile(manifest)
	if err != nil && !*update {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if got := frozenSum(t, f[1:]); got != f[0] {
			t.Errorf("version 1 is frozen, and %s has changed: %s, was %s", strings.Join(f[1:], " "), got, f[0])
		}
	}
	var fresh []string
	for _, what := range frozenNow(t) {
		if line := frozenSum(t, what) + " " + strings.Join(what, " "); !slices.Contains(lines, line) {
			fresh = append(fresh, line)
		}
	}
	switch {
	case len(fresh) == 0 || t.Failed():
	case *update:
		out := strings.TrimSpace(string(text)) + "\n" + strings.Join(fresh, "\n") + "\n"
		if err := os.WriteFile(manifest, []byte(strings.TrimLeft(out, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Logf("not frozen yet, until go test ./session -run TestFrozen -update:\n%s", strings.Join(fresh, "\n"))
	}
	if len(lines) < 90 && !*update {
		t.Errorf("only %d lines", len(lines))
	}
}

// frozenNow lists what there is to freeze: a file, or a file, the name of an array
// in it and its length.
func frozenNow(t *testing.T) (list [][]string) {
	for _, pattern := range frozen {
		files, err := filepath.Glob("../" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			name := filepath.ToSlash(strings.TrimPrefix(file, "../"))
			if filepath.Ext(file) != ".json" {
				list = append(list, []string{name})
				continue
			}
			arrays := frozenArrays(t, file)
			for _, at := range slices.Sorted(maps.Keys(arrays)) {
				list = append(list, []string{name, at, strconv.Itoa(len(arrays[at]))})
			}
		}
	}
	return list
}

// frozenSum is the SHA-256 of what a line lists, of an array its entries in JSON
// without blanks. It is a word if that is not there any more.
func frozenSum(t *testing.T, what []string) string {
	file := filepath.FromSlash("../" + what[0])
	text, err := os.ReadFile(file)
	if err != nil {
		return "gone"
	}
	if len(what) == 1 {
		return fmt.Sprintf("%x", sha256.Sum256(text))
	}
	entries := frozenArrays(t, file)[what[1]]
	n, err := strconv.Atoi(what[2])
	if err != nil || n > len(entries) {
		return "gone"
	}
	var b bytes.Buffer
	for _, e := range entries[:n] {
		if err := json.Compact(&b, e); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	return fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
}

// frozenArrays are the arrays of a file of vectors, by the names that lead to them.
func frozenArrays(t *testing.T, file string) map[string][]json.RawMessage {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	arrays := map[string][]json.RawMessage{}
	var walk func(at string, v json.RawMessage)
	walk = func(at string, v json.RawMessage) {
		var list []json.RawMessage
		var fields map[string]json.RawMessage
		switch {
		case json.Unmarshal(v, &list) == nil:
			arrays[at] = list
		case json.Unmarshal(v, &fields) == nil:
			for name, v := range fields {
				walk(strings.TrimPrefix(at+"."+name, "."), v)
			}
		default:
			t.Fatalf("%s: %s is neither an array nor an object", file, at)
		}
	}
	walk("", text)
	return arrays
}
