// SPDX-License-Identifier: MIT

package client

import "github.com/lifeline-go/lifeline/codec"

// dictionary is the server's for one session: session/SPEC 3.12. Immutable.
type dictionary struct {
	names   []string
	numbers map[string]uint32
}

// of returns the dictionary of a session whose names these are: the same one, as long as
// the core has the same names. It is empty once the session has ended.
func (d *dictionary) of(names []string) *dictionary {
	if len(names) == len(d.names) && (len(names) == 0 || &names[0] == &d.names[0]) {
		return d
	}
	d = &dictionary{names: names, numbers: make(map[string]uint32, len(names))}
	for n, name := range names {
		d.numbers[name] = uint32(n)
	}
	return d
}

// route is how a route is written.
func (d *dictionary) route(name string) codec.Route {
	if n, ok := d.numbers[name]; ok {
		return codec.NumberedRoute(n)
	}
	return codec.NamedRoute(name)
}

// name is what a route is called, whichever way it was written.
func (d *dictionary) name(r codec.Route) string {
	if r.IsNumber() && int(r.Number()) < len(d.names) {
		return d.names[r.Number()]
	}
	return r.String()
}

// messages reads what was sent back into what the app sent.
func (d *dictionary) messages(packets []codec.Packet) []Message {
	var list []Message
	for _, p := range packets {
		var r codec.Route
		var payload []byte
		var err error
		switch p.Kind {
		case codec.Message:
			r, payload, err = codec.ParseMessage(p.Body)
		case codec.Request:
			_, r, payload, err = codec.ParseRequest(p.Body)
		default:
			continue
		}
		if err == nil {
			list = append(list, Message{Route: d.name(r), Payload: payload, Request: p.Kind == codec.Request})
		}
	}
	return list
}
