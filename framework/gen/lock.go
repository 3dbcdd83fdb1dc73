// SPDX-License-Identifier: MIT

package gen

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// text writes a schema as the lines of messages.lock: routes, then types.
func (s *schema) text() string {
	var b strings.Builder
	for _, r := range s.routes {
		b.WriteString(r.kind + " " + quoted(r.name))
		for _, t := range r.types {
			b.WriteString(" " + t.expr())
		}
		b.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(s.named)) {
		t := s.named[name]
		if t.kind == isEnum {
			b.WriteString("enum " + name + ":" + t.elem.name)
			for _, v := range t.values {
				b.WriteString(" " + v.name + "=" + v.number)
			}
		} else {
			b.WriteString("type " + name)
			for _, f := range t.fields {
				b.WriteString(" " + f.name + ":" + f.typ.expr())
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// quoted is a route's name, in quotes if it has a character that would be taken
// for something else.
func quoted(name string) string {
	q := strconv.QuoteToASCII(name)
	if q == `"`+name+`"` && !strings.Contains(name, " ") {
		return name
	}
	return strings.ReplaceAll(q, " ", `\x20`)
}

// hash names a text: doc.go.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// parse reads the lines of messages.lock, or what a client sent: any bytes.
func parse(text string) (*schema, error) {
	p := &parser{s: &schema{named: map[string]*typ{}}}
	var lines [][]string
	for n, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 2 {
			return nil, fmt.Errorf("line %d: %.40q is no line of messages", n+1, line)
		}
		if err := p.declare(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		lines = append(lines, words)
	}
	for _, words := range lines {
		if err := p.define(words); err != nil {
			return nil, fmt.Errorf("%.60s: %w", strings.Join(words[:2], " "), err)
		}
	}
	p.s.sort()
	return p.s, nil
}

type parser struct{ s *schema }

// declare notes the types that a line names, so that others may mention them.
func (p *parser) declare(words []string) error {
	name := words[1]
	t := &typ{kind: isStruct, name: name}
	switch words[0] {
	case "type":
	case "enum":
		var scalar string
		name, scalar, _ = strings.Cut(name, ":")
		if !scalars[scalar] {
			return fmt.Errorf("an enum of %.40q", scalar)
		}
		*t = typ{kind: isEnum, name: name, elem: &typ{name: scalar}}
	case message, request, push, question:
		return nil
	default:
		return fmt.Errorf("%.40q is neither a route nor a type", words[0])
	}
	if p.s.named[name] != nil {
		return fmt.Errorf("%.60s is there twice", name)
	}
	p.s.named[name] = t
	return nil
}

func (p *parser) define(words []string) error {
	switch words[0] {
	case "type":
		return p.fields(p.s.named[words[1]], words[2:])
	case "enum":
		name, _, _ := strings.Cut(words[1], ":")
		for _, w := range words[2:] {
			v, number, _ := strings.Cut(w, "=")
			p.s.named[name].values = append(p.s.named[name].values, value{v, number})
		}
		return nil
	}
	r := route{kind: words[0], name: words[1]}
	if strings.HasPrefix(r.name, `"`) {
		name, err := strconv.Unquote(r.name)
		if err != nil {
			return err
		}
		r.name = name
	}
	for _, w := range words[2:] {
		t, err := p.typ(w)
		if err != nil {
			return err
		}
		r.types = append(r.types, t)
	}
	if want := map[string]int{message: 1, push: 1}[r.kind]; len(r.types) != max(want, 2-want) {
		return fmt.Errorf("a %s with %d types", r.kind, len(r.types))
	}
	p.s.routes = append(p.s.routes, r)
	return nil
}

func (p *parser) fields(of *typ, words []string) error {
	for _, w := range words {
		name, expr, ok := strings.Cut(w, ":")
		if !ok {
			return fmt.Errorf("field %.40q has no type", w)
		}
		t, err := p.typ(expr)
		if err != nil {
			return err
		}
		of.fields = append(of.fields, field{name: name, typ: t})
	}
	return nil
}

// typ reads an expression, which may be as deep as what is sent.
func (p *parser) typ(expr string) (*typ, error) { return p.nested(expr, 32) }

func (p *parser) nested(expr string, depth int) (*typ, error) {
	if depth == 0 {
		return nil, errors.New("types nested too deep")
	}
	of := &typ{}
	switch {
	case scalars[expr]:
		of.name = expr
		return of, nil
	case expr == "struct{}":
		of.kind = isEmpty
		return of, nil
	case strings.HasPrefix(expr, "*"):
		of.kind, expr = isOption, expr[1:]
	case strings.HasPrefix(expr, "[]"):
		of.kind, expr = isList, expr[2:]
	case strings.HasPrefix(expr, "["), strings.HasPrefix(expr, "map["):
		head, rest, ok := strings.Cut(expr, "]")
		if !ok {
			return nil, fmt.Errorf("%.40q is no type", expr)
		}
		expr = rest
		if key, is := strings.CutPrefix(head, "map["); is {
			k, err := p.nested(key, depth-1)
			if err != nil {
				return nil, err
			}
			of.kind, of.key = isMap, k
			break
		}
		n, err := strconv.Atoi(head[1:])
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%.40q is no length", head[1:])
		}
		of.kind, of.n = isArray, n
		if rest == "byte" {
			of.kind = isBytes
			return of, nil
		}
	default:
		if named := p.s.named[expr]; named != nil {
			return named, nil
		}
		return nil, fmt.Errorf("there is no type %.60q", expr)
	}
	elem, err := p.nested(expr, depth-1)
	of.elem = elem
	return of, err
}
