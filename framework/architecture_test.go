// SPDX-License-Identifier: MIT

package framework_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fileNamed   = regexp.MustCompile(`[\w*/]+\.go\b`)
	methodNamed = regexp.MustCompile("`(\\w+)\\.(\\w+)`\\s+\\((\\w+\\.go)")
)

// TestArchitectureNamesFilesThatAre: a file that ARCHITECTURE.md or CONTRIBUTING.md sends
// a reader to is there, and has the method that is said to be in it.
func TestArchitectureNamesFilesThatAre(t *testing.T) {
	all := map[string]string{} // path to text
	eachFile(t, func(_, path string, _ []string, text string) { all[path] = text })
	tests, err := filepath.Glob("../*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tests {
		all[strings.TrimPrefix(filepath.ToSlash(path), "../")] = ""
	}
	find := func(name string) (texts []string) {
		pattern := name[strings.LastIndexByte(name, '/')+1:]
		for path, text := range all {
			base := path[strings.LastIndexByte(path, '/')+1:]
			if ok, _ := filepath.Match(pattern, base); ok && (!strings.Contains(name, "/") || strings.HasSuffix("/"+path, "/"+name)) {
				texts = append(texts, text)
			}
		}
		return texts
	}
	for _, doc := range []string{"../ARCHITECTURE.md", "../CONTRIBUTING.md"} {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		names := fileNamed.FindAllString(string(b), -1)
		if len(names) < 10 {
			t.Errorf("%s names the files %v only", doc, names)
		}
		for _, name := range names {
			if len(find(name)) == 0 {
				t.Errorf("%s: there is no %s", doc, name)
			}
		}
		for _, m := range methodNamed.FindAllStringSubmatch(string(b), -1) {
			method := regexp.MustCompile(`(?m)^func \(\w* ?\*?` + m[1] + `(\[[^\]]*\])?\) ` + m[2] + `\(`)
			found := false
			for _, text := range find(m[3]) {
				found = found || method.MatchString(text)
			}
			if !found {
				t.Errorf("%s: %s has no method %s of %s", doc, m[3], m[2], m[1])
			}
		}
	}
}
