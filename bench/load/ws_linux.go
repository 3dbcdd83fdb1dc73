// SPDX-License-Identifier: MIT

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// webSocket is what a player of a WebSocket has to remember. The server's
// frames carry a stream, as far as the player is concerned.
type webSocket struct {
	asked bool   // to upgrade, and there is no answer
	left  int    // bytes that the current frame still has
	part  []byte // of what stands before the next one
}

var upgrade = []byte("GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGlmZWxpbmUgYmVuY2ggIQ==\r\n\r\n")

func (w *webSocket) upgrade(fd int) error {
	*w = webSocket{asked: true}
	n, err := write(fd, upgrade)
	if err == nil && n < len(upgrade) {
		err = errors.New("load: a new connection takes no request")
	}
	return err
}

// appendMessageHead begins a binary message of n bytes. Its mask is zero: that
// is allowed, leaves the message as it is, and the server unmasks all the same.
func appendMessageHead(b []byte, n int) []byte {
	b = append(b, 0x82)
	if n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	return append(b, 0, 0, 0, 0)
}

// unwrap takes what a WebSocket has received. It returns false when p is gone.
func (f *Fleet) unwrap(p *player, b []byte) bool {
	w := &p.ws
	if len(w.part) > 0 {
		w.part = append(w.part, b...)
		b = w.part
	}
	for {
		n := min(w.left, len(b))
		w.left -= n
		if n > 0 && !f.stream(p, b[:n]) {
			return false
		}
		b = b[n:]
		head, left, err := w.head(b)
		if err != nil {
			f.dropped(p, err)
			return false
		}
		if head == 0 {
			break
		}
		b, w.left = b[head:], left
	}
	w.part = append(w.part[:0], b...)
	return true
}

// head returns the size of what stands before the next bytes of the stream, and
// how many of those there are. The size is 0 if b is too short to say.
func (w *webSocket) head(b []byte) (size, left int, err error) {
	if w.asked {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return 0, 0, nil
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")) {
			return 0, 0, errors.New("load: the server does not upgrade")
		}
		w.asked = false
		return end + 4, 0, nil
	}
	if len(b) < 2 {
		return 0, 0, nil
	}
	size, left = 2, int(b[1])
	switch left {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	switch {
	case b[0] != 0x82:
		return 0, 0, fmt.Errorf("load: a frame that begins with %#x", b[0])
	case len(b) < size:
		return 0, 0, nil
	case size == 4:
		left = int(binary.BigEndian.Uint16(b[2:]))
	case size == 10:
		left = int(binary.BigEndian.Uint64(b[2:]))
	}
	return size, left, nil
}
