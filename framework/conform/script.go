// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// step is one command of a script and what a client does after it. Names are
// expanded: neither it nor its lines have a $ any more.
type step struct {
	file    string
	number  int    // of the line in file
	about   string // the comment above: the rule that the script plays
	command string
	want    []string
}

// where is the place of a step, as compilers write places.
func (s *step) where() string { return fmt.Sprintf("%s:%d", s.file, s.number) }

// verb is the first word of the command.
func (s *step) verb() string {
	verb, _, _ := strings.Cut(s.command, " ")
	return verb
}

// rest is the command without its first word.
func (s *step) rest() string {
	_, rest, _ := strings.Cut(s.command, " ")
	return rest
}

// script is a conversation, with those before it that it begins with.
type script struct {
	name  string
	steps []step
}

// readScripts reads the scripts of a folder, in the order of their names.
func readScripts(dir fs.FS) ([]script, error) {
	files, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	scripts := make([]script, 0, len(files))
	for _, file := range files {
		var r reader
		if err := r.read(dir, file, 0); err != nil {
			return nil, err
		}
		scripts = append(scripts, script{strings.TrimSuffix(path.Base(file), ".txt"), r.steps})
	}
	return scripts, nil
}

// reader makes steps of lines.
type reader struct {
	lets  []string // names and values, as strings.NewReplacer takes them
	steps []step
}

// mostNested bounds how scripts begin with one another.
const mostNested = 8

func (r *reader) read(dir fs.FS, file string, nested int) error {
	if nested > mostNested {
		return fmt.Errorf("%s: scripts begin with one another", file)
	}
	b, err := fs.ReadFile(dir, file)
	if err != nil {
		return err
	}
	about, fresh := "", true // fresh: the next comment begins another one
	for i, l := range strings.Split(string(b), "\n") {
		text := strings.TrimSpace(l)
		switch {
		case text == "":
		case strings.HasPrefix(l, "\t"):
			if len(r.steps) == 0 {
				return fmt.Errorf("%s:%d: nothing was done yet", file, i+1)
			}
			last := &r.steps[len(r.steps)-1]
			last.want = append(last.want, r.expand(text))
		case text[0] == '#':
			if fresh {
				about = ""
			}
			about, fresh = strings.TrimSpace(about+" "+strings.TrimSpace(text[1:])), false
			continue
		default:
			if err := r.command(dir, step{file: file, number: i + 1, about: about}, text, nested); err != nil {
				return err
			}
		}
		fresh = true
	}
	return nil
}

func (r *reader) command(dir fs.FS, s step, text string, nested int) error {
	s.command = text
	switch s.verb() {
	case "let":
		name, value, _ := strings.Cut(s.rest(), " ")
		r.lets = append([]string{"$" + name, value}, r.lets...) // the last one of a name counts
		return nil
	case "after":
		return r.read(dir, s.rest()+".txt", nested+1)
	}
	s.command = r.expand(text)
	r.steps = append(r.steps, s)
	return nil
}

// expand puts values in place of names. A longer name is not taken for a
// shorter one, as no name begins with another.
func (r *reader) expand(text string) string { return strings.NewReplacer(r.lets...).Replace(text) }
