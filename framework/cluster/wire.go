// SPDX-License-Identifier: MIT

package cluster

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/session"
)

// What servers write for each other. Fields are only ever appended.

type metaBody struct {
	Version uint8
	Secret  []byte // a fingerprint
}

const metaVersion = 1

type memberBody struct {
	Boot     uint32
	Draining bool
	Address  string
	Routes   []byte
	Keys     []string
	Labels   []string
}

type questionBody struct {
	Evict   bool
	Policy  uint8
	Session []byte
	User    string
	Look    bool
}

type answerBody struct{ Answer uint8 }

func encode(v any) []byte {
	b, err := codec.AppendBody(nil, v)
	if err != nil {
		panic(fmt.Sprintf("cluster: encode: %v", err)) // it is ours, so it can't fail
	}
	return b
}

func encodeMember(m core.Member) []byte {
	return encode(&memberBody{m.Incarnation.Boot, m.Draining, m.Address, m.Routes, m.Keys, m.Labels})
}

func decodeMember(node uint16, b []byte) (core.Member, error) {
	var body memberBody
	err := codec.DecodeBody(b, &body)
	return core.Member{
		Incarnation: core.Incarnation{Node: node, Boot: body.Boot}, Draining: body.Draining,
		Address: body.Address, Routes: body.Routes, Keys: body.Keys, Labels: body.Labels,
	}, err
}

func encodeQuestion(q core.Question) []byte {
	return encode(&questionBody{q.Evict, uint8(q.Policy), q.Session[:], q.User, q.Look})
}

func decodeQuestion(b []byte) (q core.Question, ok bool) {
	var body questionBody
	if codec.DecodeBody(b, &body) != nil || len(body.Session) != len(session.ID{}) || body.Policy > uint8(core.Adopt) {
		return q, false
	}
	return core.Question{Evict: body.Evict, Look: body.Look, Policy: core.Policy(body.Policy), Session: session.ID(body.Session), User: body.User}, true
}

// fingerprint is what servers compare instead of their Secret.
func fingerprint(secret session.Secret) []byte {
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte("lifeline/cluster/1"))
	return m.Sum(nil)[:16]
}

func decode(b []byte, v any) error { return codec.DecodeBody(b, v) }
