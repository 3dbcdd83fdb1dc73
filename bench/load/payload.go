// SPDX-License-Identifier: MIT

package load

import "encoding/binary"

// Fill makes b a payload, all but its number: whatever the size, it begins alike.
func Fill(b []byte) {
	for i := range b {
		b[i] = byte('a' + i%26)
	}
}

// AppendHead appends the head of a msgpack bin 16 of size bytes, which is how
// payloads travel where there is a session layer.
func AppendHead(b []byte, size int) []byte {
	return binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(size))
}
