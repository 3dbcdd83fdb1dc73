// SPDX-License-Identifier: MIT

package place

import (
	"errors"
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// Entry says which server has a room.
type Entry struct {
	Type, Key string
	// Owner is zero while the room moves: it runs nowhere, and any server that is asked
	// for it may take it.
	Owner core.Incarnation
	// Gen rises with each owner, also where the entry was removed in between. It fences: of
	// two that write for a room, the one with the lower Gen is not its owner any more.
	Gen uint64
	// Target is where a room that moves shall be. It is a hint.
	Target core.Incarnation
	// Snapshot is what the next owner goes on from, the members that come along included; nil
	// if there is none. It stays when the room is taken, for an owner that did not hear that
	// it has become one, and goes when the room runs again.
	Snapshot []byte
	// Lost says that the room was taken from a dead server: what that one has done since
	// Snapshot is lost.
	Lost bool
}

// The bounds of an entry.
const (
	MaxName     = 1024      // bytes of a type, and of a key
	MaxSnapshot = 384 << 10 // of what the game keeps 256 KiB; the rest tells who the members are
	maxEntry    = 2*MaxName + MaxSnapshot + 128
)

type entryBody struct {
	Version    uint8
	Type, Key  string
	Node       uint16
	Boot       uint32
	Gen        uint64
	TargetNode uint16
	TargetBoot uint32
	Snapshot   []byte
	Lost       bool
}

const entryVersion = 1

var (
	// ErrEntry refuses a value of the directory.
	ErrEntry = errors.New("cluster: not an entry of a room")
	// ErrVersion refuses an entry of a later version of this module.
	ErrVersion = fmt.Errorf("%w of a version known here", ErrEntry)
	// ErrSnapshot refuses a hand-over that would not fit into an entry.
	ErrSnapshot = errors.New("cluster: the room is too large to be handed over")
)

// Append appends the value of a key; nothing for no entry.
func (e *Entry) Append(dst []byte) []byte {
	if e == nil {
		return dst
	}
	b := entryBody{
		Version: entryVersion, Type: e.Type, Key: e.Key, Node: e.Owner.Node, Boot: e.Owner.Boot, Gen: e.Gen,
		TargetNode: e.Target.Node, TargetBoot: e.Target.Boot, Snapshot: e.Snapshot, Lost: e.Lost,
	}
	return appendBody(dst, &b)
}

// ParseEntry reads what Append wrote, nil for nothing.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) > maxEntry {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrEntry, len(b), maxEntry)
	}
	var body entryBody
	if err := codec.DecodeBody(b, &body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if body.Version != entryVersion {
		return nil, fmt.Errorf("%w: %d", ErrVersion, body.Version)
	}
	if len(body.Type) > MaxName || len(body.Key) > MaxName || len(body.Snapshot) > MaxSnapshot {
		return nil, fmt.Errorf("%w: a type of %d bytes, a key of %d, a snapshot of %d",
			ErrEntry, len(body.Type), len(body.Key), len(body.Snapshot))
	}
	e := &Entry{
		Type: body.Type, Key: body.Key, Owner: core.Incarnation{Node: body.Node, Boot: body.Boot}, Gen: body.Gen,
		Target: core.Incarnation{Node: body.TargetNode, Boot: body.TargetBoot}, Snapshot: body.Snapshot, Lost: body.Lost,
	}
	return e, nil
}

// appendBody appends what this package writes itself, which so can't fail.
func appendBody(dst []byte, v any) []byte {
	dst, err := codec.AppendBody(dst, v)
	if err != nil {
		panic(fmt.Sprintf("cluster: encode %T: %v", v, err))
	}
	return dst
}
