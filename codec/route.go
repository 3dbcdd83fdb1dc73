// SPDX-License-Identifier: MIT

package codec

import (
	"strconv"
)

// The limits of a route: SPEC 6.1.
const (
	MaxRouteName   = 128   // bytes
	MaxRouteNumber = 65535 // the largest index of a dictionary
)

// Route names the handler of a packet: by a string, or by a number of the
// dictionary that the server sends. The zero Route is number 0.
type Route struct {
	name []byte // nil: the route is a number
	num  uint32
}

// NamedRoute returns the route with that name.
func NamedRoute(name string) Route {
	b := make([]byte, len(name)) // never nil, not even for ""
	copy(b, name)
	return Route{name: b}
}

// NumberedRoute returns the route with that number.
func NumberedRoute(number uint32) Route { return Route{num: number} }

// IsNumber reports whether the route is a number.
func (r Route) IsNumber() bool { return r.name == nil }

// Number returns the route's number, or 0 if it has a name.
func (r Route) Number() uint32 { return r.num }

// Name returns the route's name, or nil if the route is a number. The name of a
// parsed route aliases the body: a caller that keeps it must copy it.
func (r Route) Name() []byte { return r.name }

// Valid reports whether a peer accepts the route. A parsed route is always valid.
// The Append functions do not check.
func (r Route) Valid() bool {
	if r.IsNumber() {
		return r.num <= MaxRouteNumber
	}
	return len(r.name) >= 1 && len(r.name) <= MaxRouteName
}

// String returns the name, or # and the number. For logs.
func (r Route) String() string {
	if r.IsNumber() {
		return "#" + strconv.FormatUint(uint64(r.num), 10)
	}
	return string(r.name)
}

func appendRoute(b []byte, r Route) []byte {
	if r.IsNumber() {
		return appendUint(b, uint64(r.num))
	}
	b = appendStringHead(b, len(r.name))
	return append(b, r.name...)
}
