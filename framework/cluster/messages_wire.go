// SPDX-License-Identifier: MIT

package cluster

import (
	"encoding/hex"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/pipe"
)

// What servers send each other for their users. Fields are only ever appended.

// messageBody is a message to a user, or the answer to a request.
type messageBody struct {
	Kind  uint8
	User  string
	Route string
	Body  []byte // a payload
	ID    uint64 // of a request, and of its answer
	Limit uint32 // of a request: in milliseconds
	Code  uint32 // of a kick, or of an answer that failed
	Text  string // likewise; of a move the address
	Node  uint16 // of a move
}

// The kinds of messages.
const (
	kindPush    = 1
	kindKick    = 2
	kindMove    = 3
	kindRequest = 4
	kindAnswer  = 5
	kindWhere   = 6
)

// batchBody is what goes to a server at once. Number 0 is of questions that have no order.
type batchBody struct {
	Node     uint16
	Boot     uint32
	Number   uint64
	Messages []messageBody
}

type answersBody struct{ Answers []oneAnswer } // none if all were handed over, and there is nothing to say

type oneAnswer struct {
	Result uint8
	Text   string
	Detail uint64
}

func encodeAnswers(list []pipe.Answer) []byte {
	body, plain := answersBody{Answers: make([]oneAnswer, len(list))}, true
	for i, a := range list {
		body.Answers[i] = oneAnswer{uint8(a.Result), a.Text, a.Detail}
		plain = plain && a == pipe.Answer{}
	}
	if plain {
		body.Answers = nil
	}
	return encode(&body)
}

// decodeAnswers reads the answers to n messages.
func decodeAnswers(b []byte, n int) ([]pipe.Answer, error) {
	var body answersBody
	if err := decode(b, &body); err != nil {
		return nil, err
	}
	list := make([]pipe.Answer, n)
	for i := range min(n, len(body.Answers)) {
		a := body.Answers[i]
		list[i] = pipe.Answer{Result: pipe.Result(min(a.Result, uint8(pipe.Absent))), Text: a.Text, Detail: a.Detail}
	}
	return list, nil
}

// userKey is the key of a user in the directory: it follows from that of its sessions.
func (c *Cluster) userKey(user string) string {
	h := c.host.Secret().UserHash(user)
	return hex.EncodeToString(h[:])
}
