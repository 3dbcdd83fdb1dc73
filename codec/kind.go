// SPDX-License-Identifier: MIT

package codec

import "fmt"

// Kind is the type of a packet: SPEC 3.
type Kind uint8

// The kinds of a packet, with their numbers on the wire. Kinds from Greeting
// to Move are control packets of the session layer and are never counted; Request,
// Response, Failure and Message always are.
const (
	Heartbeat Kind = iota
	Greeting
	Hello
	Welcome
	Resume
	Resumed
	Reset
	Refused
	Tune
	Detach
	Bye
	Move
	Request
	Response
	Failure
	Message
	Datagram

	kinds // the number of kinds
)

var kindNames = [kinds]string{
	"HEARTBEAT", "GREETING", "HELLO", "WELCOME", "RESUME", "RESUMED", "RESET", "REFUSED",
	"TUNE", "DETACH", "BYE", "MOVE", "REQUEST", "RESPONSE", "FAILURE", "MESSAGE", "DATAGRAM",
}

// String returns the kind's name as SPEC 3 writes it.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("KIND(%d)", uint8(k))
}

// Counted reports whether packets of this kind carry a sequence number, are
// acknowledged and survive the loss of a link: SPEC 2.1.
func (k Kind) Counted() bool { return k >= Request && k <= Message }

// Flags are the flag bits of a heartbeat: SPEC 2.2. Other kinds have none.
type Flags uint8

const (
	// EchoWanted asks the peer to answer at once with the same ping id.
	EchoWanted Flags = 1 << iota
	// Echo marks that answer.
	Echo
	// Hold asks the peer to send no counted packet until a heartbeat comes
	// without this flag.
	Hold

	knownFlags = EchoWanted | Echo | Hold
)
