// SPDX-License-Identifier: MIT

// Package gen keeps what a game sends readable for the clients that are out
// there, and writes the messages for clients of other languages. It runs in the
// game's own go test, and sees by reflection what the codec sees:
//
//	func TestMessages(t *testing.T) {
//		srv, _ := framework.New(framework.Config{})
//		register(srv) // OnMessage, OnRequest, OnRoomMessage, SendsAs, Asks, as ever
//		gen.Check(t, srv, "messages.lock",
//			gen.TypeScript{Path: "../web/src/messages.ts"},
//			gen.CSharp{Path: "../unity/Assets/Messages.cs", Namespace: "Game"})
//	}
//
// [Check] compares the routes with messages.lock, which is kept beside the code,
// and fails with a sentence where a client of today would read garbage from the
// server of tomorrow, or the other way round. LIFELINE_GEN=1 go test writes the
// lock and the files for the clients. A route of the server's that is declared
// with Sends has no type: use SendsAs.
//
// # How messages may change
//
// A struct travels as an array of its exported fields in their order, without
// names (codec/SPEC.md 5.2). So:
//
//  1. Append fields, at the end of a struct that is not embedded elsewhere. An old
//     client skips what it does not know; what it does not send is zero. A payload
//     that may ever grow is a struct from the start.
//  2. Leave every field where it is, with its name and its type. One that is no
//     longer needed stays and is not filled; or put a codec.Raw in its place, which
//     costs a byte. An unexported field holds no place, nor does "_".
//  3. What must be different gets a new name: a new field, a new type, a new
//     route. Remove the old one when no client sends or reads it any more.
//
// A change that breaks the rules is still possible, on purpose: change the line in
// messages.lock, too, or delete it.
//
// # What may be sent
//
// Booleans, numbers, strings, bytes, structs, slices, arrays, maps with keys that
// are strings or integers, pointers as optional values (nil or the value), time.Time,
// codec.Raw. A named number is an enum if [Enum] names its values, else a number.
// Refused, with the place: interfaces, structs without a name, types that encode
// themselves by their methods, pointers to pointers. A nil slice, map or []byte reads
// as an empty one. Struct fields that embed a pointer are sent as zero while it is
// nil. On the other side:
//
//	Go                TypeScript                        C#
//	int, uint         number, refused beyond 2^53       long, ulong
//	int64, uint64     bigint (see TypeScript.Numbers)   long, ulong
//	time.Duration     as int64, in nanoseconds          long
//	time.Time         Date, to the millisecond          DateTime in UTC, to 100 ns
//	[]T, [n]T         T[]                               Items<T>, T[]
//	map[K]V           Map<K, V>                         Dictionary<K, V>
//	*T                T | null                          T?, or a null
//	codec.Raw         Uint8Array, one value of msgpack  byte[]
//
// # Clients of another version
//
// [Announce] tells clients at login which messages the server has. One whose
// generated messages differ sends its own, and where they do not fit together the
// server's log and the client's error handler name the type and the field.
//
// Nothing of this changes the protocol. The server's route dictionary, which a
// client gets or has at login (session/SPEC.md 3.12), has one route more: "schema."
// and the first 8 bytes of the SHA-256 of the text of the messages, in hex. A client whose own text gives the same name does
// nothing. Another one sends a request on that route: its text, a string. The
// answer is an array of strings, a sentence for each thing that does not fit,
// empty if all does, as when one side has only appended. The text is that of
// messages.lock without comments and empty lines, each line ended by a newline.
package gen
