// SPDX-License-Identifier: MIT

package load

import (
	"bytes"
	"testing"
)

// TestWebSocketHeads takes what a server sends in parts of every size: a head
// that is not all there is not taken for one.
func TestWebSocketHeads(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 70_000)
	var sent []byte
	sent = append(sent, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"...)
	sent = append(append(sent, 0x82, 3), body[:3]...)
	sent = append(append(sent, 0x82, 126, 1, 0), body[:256]...)
	sent = append(append(sent, 0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70), body...)
	for _, part := range []int{1, 2, 3, 7, 1000, len(sent)} {
		w := webSocket{asked: true}
		var got, rest []byte
		for at := 0; at < len(sent); at += part {
			rest = append(rest, sent[at:min(at+part, len(sent))]...)
			for {
				n := min(w.left, len(rest))
				w.left -= n
				got, rest = append(got, rest[:n]...), rest[n:]
				size, left, err := w.head(rest)
				if err != nil {
					t.Fatal(err)
				}
				if size == 0 {
					break
				}
				rest, w.left = rest[size:], left
			}
		}
		if len(got) != 3+256+70_000 || len(rest) != 0 || w.left != 0 {
			t.Errorf("in parts of %d: %d bytes, %d are left", part, len(got), len(rest))
		}
	}
}

func TestWhatIsNoWebSocketIsRefused(t *testing.T) {
	w := webSocket{asked: true}
	if _, _, err := w.head([]byte("HTTP/1.1 403 Forbidden\r\n\r\n")); err == nil {
		t.Error("a refusal was taken for an upgrade")
	}
	w.asked = false
	if _, _, err := w.head([]byte{0x88, 2, 3, 232}); err == nil {
		t.Error("the end was taken for a message")
	}
}
