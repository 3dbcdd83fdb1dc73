// SPDX-License-Identifier: MIT

package core

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// Entry says which server owns a session.
type Entry struct {
	Session session.ID
	User    string
	Owner   Incarnation // zero: parked, until a server takes it
	// Gen is how many owners the session has had. It fences: of two that speak for a
	// session, the one with the lower Gen is not its owner any more.
	Gen uint64
	// Record is what the next owner carries on. It stays when the session is taken: an
	// owner that did not hear that it has become one finds it here.
	Record []byte
	// Login is what the directory keeps of the login, for a server that has to go on with
	// the session when its owner is dead. Core does not read it.
	Login []byte
}

// Key is the key of the directory that a session's entry stands under. It follows from
// the session's id alone. The sessions of one user share a key, and two users may.
func Key(id session.ID) string {
	h := id.UserHash()
	return hex.EncodeToString(h[:])
}

type entryBody struct {
	Session []byte
	User    string
	Node    uint16
	Boot    uint32
	Gen     uint64
	Record  []byte
	Login   []byte
}

// entriesBody is the value of a key.
type entriesBody struct {
	Version uint8
	Entries []entryBody
}

const entriesVersion = 1

// ErrEntries refuses a value of the directory.
var ErrEntries = errors.New("cluster: not a value of the directory")

// AppendEntries appends the value of a key; nothing for no entries.
func AppendEntries(dst []byte, entries []Entry) []byte {
	if len(entries) == 0 {
		return dst
	}
	b := entriesBody{Version: entriesVersion}
	for _, e := range entries {
		b.Entries = append(b.Entries, entryBody{e.Session[:], e.User, e.Owner.Node, e.Owner.Boot, e.Gen, e.Record, e.Login})
	}
	dst, err := codec.AppendBody(dst, &b)
	if err != nil {
		panic(fmt.Sprintf("cluster: encode entries: %v", err)) // they are ours, so it can't fail
	}
	return dst
}

// ParseEntries reads what AppendEntries wrote.
func ParseEntries(b []byte) ([]Entry, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var body entriesBody
	if err := codec.DecodeBody(b, &body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEntries, err)
	}
	if body.Version != entriesVersion {
		return nil, fmt.Errorf("%w of a version known here: %d", ErrEntries, body.Version)
	}
	var entries []Entry
	for _, e := range body.Entries {
		if len(e.Session) != len(session.ID{}) {
			return nil, fmt.Errorf("%w: an id of %d bytes", ErrEntries, len(e.Session))
		}
		entries = append(entries, Entry{session.ID(e.Session), e.User, Incarnation{e.Node, e.Boot}, e.Gen, e.Record, e.Login})
	}
	return entries, nil
}

// find returns the place of a session among the entries, -1 without it.
func find(entries []Entry, id session.ID) int {
	return slices.IndexFunc(entries, func(e Entry) bool { return e.Session == id })
}

// with returns a copy of entries in which entry i is e.
func with(entries []Entry, i int, e Entry) []Entry {
	entries = slices.Clone(entries)
	entries[i] = e
	return entries
}

// without returns a copy of entries that lacks entry i.
func without(entries []Entry, i int) []Entry { return slices.Delete(slices.Clone(entries), i, i+1) }
