// SPDX-License-Identifier: MIT

package framework_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestConfigSaysWhatItsFieldsAre: the comment of a field begins with its name, and
// says what zero stands for, or nil, empty, false, where that is a choice.
func TestConfigSaysWhatItsFieldsAre(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]bool{"Session": true, "Observer": true, "Drain": true, "Node": true, "Peers": true, "Address": true, "UpdateURL": true}
	fields, said := 0, ""
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Config" && spec.Name.Name != "Drain" {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			name := f.Names[0].Name
			fields++
			if f.Doc == nil {
				if !strings.Contains(strings.SplitN(said, ".", 2)[0], name) {
					t.Errorf("%s has no comment", name)
				}
				continue
			}
			said = strings.Join(strings.Fields(f.Doc.Text()), " ")
			if !strings.HasPrefix(said, name+" ") && !strings.HasPrefix(said, name+",") {
				t.Errorf("the comment of %s begins with %.30q", name, said)
			}
			zero := strings.Contains(said, "If zero, ") || strings.Contains(said, "f empty, ") || strings.Contains(said, "If nil, ") || strings.Contains(said, "If false, ") || strings.Contains(said, "is empty")
			if !zero && !whole[name] {
				t.Errorf("the comment of %s does not say what its zero value stands for: %s", name, said)
			}
		}
		return false
	})
	if fields < 40 {
		t.Errorf("only %d fields", fields)
	}
}
