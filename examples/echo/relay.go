// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/lifeline-go/lifeline/codec"
)

// faults are what a relay does to what the server writes, from the request on.
var faults = map[string]bool{"gap": true, "repeat": true, "cut": true, "garble": true}

// relay stands between clients and the server on TCP, and breaks what it carries
// when a client asks for it on "test.wire". It ends with l.
func relay(l net.Listener, server string) {
	names := new(atomic.Pointer[[]string])
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		conn, err := net.Dial("tcp", server)
		if err != nil {
			_ = client.Close()
			continue
		}
		w := &tampering{client: client, server: conn, names: names}
		go w.up()   // both end with either connection
		go w.down() // and close the other
	}
}

// tampering is one connection. mu guards what both directions see.
type tampering struct {
	client, server net.Conn
	names          *atomic.Pointer[[]string] // the dictionary, as the server told it last

	mu    sync.Mutex
	fault string // that is to come
	n     uint32
}

// up carries what the client writes, and reads along.
func (w *tampering) up() {
	defer w.server.Close()
	defer w.client.Close()
	var buf []byte
	for b := make([]byte, 16<<10); ; {
		n, err := w.client.Read(b)
		buf = append(buf, b[:n]...)
		for {
			p, size, bad := codec.ParseFrame(buf, 1<<20)
			if bad != nil || size == 0 {
				break
			}
			w.listen(p)
			buf = buf[size:]
		}
		if _, late := w.server.Write(b[:n]); err != nil || late != nil {
			return
		}
	}
}

// listen takes a request for a fault.
func (w *tampering) listen(p codec.Packet) {
	if p.Kind != codec.Request {
		return
	}
	_, route, payload, err := codec.ParseRequest(p.Body)
	var ask Wire
	if err != nil || w.name(route) != "test.wire" || codec.DecodeBody(payload, &ask) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.n = ask.Fault, ask.N
}

// name returns the name of a route, which may be written as its number.
func (w *tampering) name(r codec.Route) string {
	names := w.names.Load()
	if r.IsNumber() && names != nil && int(r.Number()) < len(*names) {
		return (*names)[r.Number()]
	}
	return string(r.Name())
}

// learn takes the dictionary out of a WELCOME: session/SPEC.md 3.3.
func (w *tampering) learn(p codec.Packet) {
	var welcome struct {
		ID, Key    []byte
		Base, Recv uint64
		Parameters []uint64
		Routes     []string
	}
	if p.Kind == codec.Welcome && codec.DecodeBody(p.Body, &welcome) == nil && welcome.Routes != nil {
		w.names.Store(&welcome.Routes)
	}
}

// down carries what the server writes, frame by frame.
func (w *tampering) down() {
	defer w.server.Close()
	defer w.client.Close()
	var buf []byte
	for b := make([]byte, 16<<10); ; {
		n, err := w.server.Read(b)
		buf = append(buf, b[:n]...)
		for {
			p, size, bad := codec.ParseFrame(buf, 1<<24)
			if bad != nil || size == 0 {
				break
			}
			w.learn(p)
			out, last := w.tamper(p, buf[:size])
			if _, late := w.client.Write(out); late != nil || last {
				return
			}
			buf = buf[size:]
		}
		if err != nil {
			return
		}
	}
}

// tamper returns what is written in place of a frame, and whether it is the last.
// The first N counted packets pass; the answer to the request is one of them.
func (w *tampering) tamper(p codec.Packet, frame []byte) (out []byte, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault == "cut" {
		cut := min(w.n, uint32(len(frame)))
		w.n -= cut
		return frame[:cut], w.n == 0
	}
	if w.fault == "" || !p.Kind.Counted() {
		return frame, false
	}
	if w.n > 0 {
		w.n--
		return frame, false
	}
	fault := w.fault
	w.fault = ""
	switch fault {
	case "gap":
		return nil, false
	case "repeat":
		return append(frame[:len(frame):len(frame)], frame...), false
	case "garble":
		return []byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false
	}
	return frame, false
}
