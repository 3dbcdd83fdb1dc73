// SPDX-License-Identifier: MIT

package codec_test

import (
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
)

func Example() {
	type Move struct {
		X, Y  float32
		Seed  uint64
		Steps []int8
	}

	// The sender: a game value, in an envelope, in a frame.
	payload, err := codec.AppendBody(nil, &Move{X: 1, Y: 2, Seed: 77, Steps: []int8{3, -4}})
	if err != nil {
		panic(err)
	}
	body := codec.AppendMessage(nil, codec.NamedRoute("move"), payload)
	stream := codec.AppendFrame(nil, codec.Header{Kind: codec.Message, Seq: 9, Ack: 4}, body)

	// A heartbeat costs nine bytes.
	stream = codec.AppendFrame(stream, codec.Header{Kind: codec.Heartbeat, Flags: codec.EchoWanted, Seq: 0xbeef}, nil)

	// The receiver.
	for len(stream) > 0 {
		p, size, err := codec.ParseFrame(stream, codec.DefaultMaxBody)
		if err != nil || size == 0 {
			panic("a broken or a partial frame")
		}
		stream = stream[size:]
		fmt.Printf("%v, %d bytes", p.Kind, size)
		if p.Kind != codec.Message {
			fmt.Println()
			continue
		}
		route, payload, err := codec.ParseMessage(p.Body)
		if err != nil {
			panic(err)
		}
		var m Move
		if err := codec.DecodeBody(payload, &m); err != nil {
			panic(err)
		}
		fmt.Printf(": %v %+v\n", route, m)
	}
	// Output:
	// MESSAGE, 30 bytes: move {X:1 Y:2 Seed:77 Steps:[3 -4]}
	// HEARTBEAT, 9 bytes
}

// A field that was appended later: old and new programs understand each other.
func ExampleDecodeBody() {
	type Old struct{ Name string }
	type New struct {
		Name  string
		Level int
	}
	var o Old
	var n New

	b, _ := codec.AppendBody(nil, &New{"ada", 7})
	fmt.Println(codec.DecodeBody(b, &o), o)

	b, _ = codec.AppendBody(nil, &Old{"bob"})
	fmt.Println(codec.DecodeBody(b, &n), n)
	// Output:
	// <nil> {ada}
	// <nil> {bob 0}
}
