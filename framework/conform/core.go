// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
)

// player is a client without sockets that a script is played to. Its time is the
// script's, so what it does is exact.
type player interface {
	// begin makes a new client. Nothing is left of the one before.
	begin(script string) error
	// do carries a command out and returns what the client did.
	do(command string) ([]string, error)
}

// play plays a script. It returns the first difference, nil if there is none.
func play(sc *script, p player) (*difference, error) {
	if err := p.begin(sc.name); err != nil {
		return nil, err
	}
	var s story
	for i := range sc.steps {
		st := &sc.steps[i]
		got, err := p.do(st.command)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", st.where(), st.command, err)
		}
		s.begin(st)
		if d, err := compare(&s, st, got); d != nil || err != nil {
			return d, err
		}
	}
	return nil, nil
}

// compare holds what a client did against what a step says.
func compare(s *story, st *step, got []string) (*difference, error) {
	for i := 0; i < max(len(st.want), len(got)); i++ {
		var a, b *line
		d := &difference{step: st}
		if i < len(st.want) {
			l, err := parseLine(st.want[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", st.where(), err)
			}
			a, d.want = &l, l.text
		}
		if i < len(got) {
			l, err := parseLine(got[i])
			if err != nil {
				return nil, fmt.Errorf("%s: the client's line: %w", st.where(), err)
			}
			b, d.got = &l, l.text
		}
		if d.want != d.got {
			d.rule = s.broke(st, a, b)
			return d, nil
		}
		s.did(a)
	}
	return nil, nil
}
