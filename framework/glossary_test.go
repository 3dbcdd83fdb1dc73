// SPDX-License-Identifier: MIT

package framework_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notOurs are files whose words others have chosen, and files that tell what a
// thing was called before.
var notOurs = []string{"ARCHITECTURE.md", "CHANGELOG.md", "LICENSE.md", "package-lock.json"}

// wordParts are the words of a text: those that an identifier is made of, too.
var wordParts = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+`)

// TestGlossary: no file has a word that the glossary of ARCHITECTURE.md has a
// better one for.
func TestGlossary(t *testing.T) {
	if testing.Short() {
		t.Skip("reads every file")
	}
	instead := glossary(t)
	if len(instead) < 15 {
		t.Fatalf("the glossary replaces only %v", instead)
	}
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || slices.Contains([]string{"node_modules", "dist", "build", "testdata"}, name)):
			return filepath.SkipDir
		case d.IsDir() || slices.Contains(notOurs, name) || !slices.Contains([]string{".go", ".md", ".ts", ".cs", ".html"}, filepath.Ext(name)):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		n := 0
		for line := range strings.SplitSeq(string(text), "\n") {
			n++
			for _, w := range wordParts.FindAllString(line, -1) {
				if better, ok := instead[strings.ToLower(w)]; ok {
					t.Errorf("%s:%d says %q: the glossary has %q", path, n, w, better)
				}
			}
		}
		return nil
	})
	if err != nil || files < 300 {
		t.Fatalf("looked at %d files: %v", files, err)
	}
}

// glossary returns the words of the glossary's last column, each with the word to
// use.
func glossary(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| word | meaning | instead of |\n| --- | --- | --- |\n")
	instead := map[string]string{}
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			break
		}
		for w := range strings.SplitSeq(cells[3], ",") {
			if w = strings.TrimSpace(w); w != "" {
				instead[w] = strings.TrimSpace(cells[1])
			}
		}
	}
	return instead
}
