// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// This file is which logins are not let in before Authenticate is asked: apps that are too old,
// and all while the server is being maintained.

// maintenance is what logins are told meanwhile.
type maintenance struct {
	text  string
	after time.Duration
}

// Maintenance keeps all logins out from now on: they are told the text, which is for
// people, and to come back after so long, as by Later. Sessions that live go on. An
// empty text lets logins in again. Safe to call from any goroutine, before Start too.
func (s *Server) Maintenance(text string, after time.Duration) {
	if text == "" {
		s.maintained.Store(nil)
		return
	}
	if after <= 0 {
		after = busyRetry
	}
	s.maintained.Store(&maintenance{text, after})
}

// notLetIn is what a login is told that is refused for a time.
func (s *Server) notLetIn(why full) *session.CloseError {
	switch m := s.maintained.Load(); {
	case why == fullMaintenance && m != nil:
		return busyFor(m.after, m.text)
	case why == fullDraining && s.cfg.Drain.Text != "":
		return busy(s.cfg.Drain.Text)
	}
	return busy(fullTexts[why])
}

// outdated refuses an app that is older than Config.MinVersion.
func (s *Server) outdated(info string) *session.CloseError {
	if s.minVersion == nil || slices.Compare(appVersion(info), s.minVersion) >= 0 {
		return nil
	}
	return &session.CloseError{Code: session.Outdated, Text: s.cfg.UpdateURL}
}

// appVersion returns the numbers of the version in what a client says of itself: the
// first word of them, as 1.4.2 in "mygame/1.4.2 ios". Nil without one.
func appVersion(info string) []uint64 {
	words := strings.FieldsFunc(info, func(c rune) bool { return c == ' ' || c == '/' })
	for _, word := range words {
		if v, err := parseVersion(strings.TrimPrefix(word, "v")); err == nil {
			return v
		}
	}
	return nil
}

// parseVersion reads numbers with dots between. What follows a hyphen or a plus is a
// build, which does not count, and zeros at the end are none.
func parseVersion(text string) ([]uint64, error) {
	if i := strings.IndexAny(text, "-+"); i >= 0 {
		text = text[:i]
	}
	v := []uint64{}
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("framework: %q is no version: want numbers with dots between, as 1.4.2", text)
		}
		v = append(v, n)
	}
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return v, nil
}
