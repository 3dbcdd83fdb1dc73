// SPDX-License-Identifier: MIT

package core

import (
	"maps"
	"slices"
)

// Member is a server as it describes itself.
type Member struct {
	Incarnation Incarnation
	Draining    bool
	Address     string   // what clients dial to reach it; empty: they can't be sent there
	Routes      []byte   // differs where the routes do, as while a new release is rolled out
	Keys        []string // by which clients know it; none if it serves no sealed carrier
	Labels      []string // by which calls find it
}

// Members are the servers that there are, and those that were declared dead. It implements View.
type Members struct {
	nodes map[uint16]Member
	dead  map[Incarnation]bool
}

// Put notes how a server describes itself.
func (m *Members) Put(v Member) {
	if m.nodes == nil {
		m.nodes = map[uint16]Member{}
	}
	m.nodes[v.Incarnation.Node] = v
}

// Tombstone notes that a server is dead.
func (m *Members) Tombstone(i Incarnation) {
	if m.dead == nil {
		m.dead = map[Incarnation]bool{}
	}
	m.dead[i] = true
}

// Status implements View.
func (m *Members) Status(i Incarnation) Status {
	switch v := m.nodes[i.Node]; {
	case m.dead[i]:
		return Dead
	case v.Incarnation != i:
		return Unknown
	case v.Draining:
		return Draining
	}
	return Up
}

// Member returns how a living server describes itself.
func (m *Members) Member(i Incarnation) (Member, bool) {
	v := m.nodes[i.Node]
	return v, v.Incarnation == i && !m.dead[i]
}

// Living returns the servers that are not dead, by their numbers.
func (m *Members) Living() (list []Member) {
	for _, node := range slices.Sorted(maps.Keys(m.nodes)) {
		if v := m.nodes[node]; !m.dead[v.Incarnation] {
			list = append(list, v)
		}
	}
	return list
}
