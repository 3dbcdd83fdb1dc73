// SPDX-License-Identifier: MIT

package pipe

// Receiver takes the batches of one incarnation of a server. A batch that comes twice is
// handed over once: the Receiver remembers its answer. The zero value has received none.
type Receiver struct {
	last   uint64
	answer []byte // of last
}

// Arrival is what a batch is to a Receiver.
type Arrival uint8

const (
	Late     Arrival = iota // no sender waits for its answer any more
	Repeated                // the answer is Answer
	Fresh                   // it is handed over, and then Took is called
)

// Arrive tells what the batch of a number is. It changes nothing.
func (r *Receiver) Arrive(number uint64) Arrival {
	switch {
	case number == r.last+1:
		return Fresh
	case number == r.last && number > 0:
		return Repeated
	}
	return Late
}

// Took notes that a fresh batch was handed over, and its answer.
func (r *Receiver) Took(number uint64, answer []byte) { r.last, r.answer = number, answer }

// Answer returns the answer of the last batch.
func (r *Receiver) Answer() []byte { return r.answer }

// Take hands the messages of a batch over, in their order. Once a user is absent, so it is
// for the rest of the batch: its session may come meanwhile, and what was sent later would
// be handed over first.
func Take[M any](messages []M, user func(M) string, handOver func(M) Answer) []Answer {
	answers := make([]Answer, len(messages))
	var absent map[string]bool
	for i, m := range messages {
		if absent[user(m)] {
			answers[i] = Answer{Result: Absent}
			continue
		}
		answers[i] = handOver(m)
		if answers[i].Result == Absent {
			if absent == nil {
				absent = map[string]bool{}
			}
			absent[user(m)] = true
		}
	}
	return answers
}
