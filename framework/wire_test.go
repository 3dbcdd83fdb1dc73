// SPDX-License-Identifier: MIT

package framework_test

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// TestWhatIsHandedOutCanBeSent: a game may put what it gets from the framework
// into its own messages.
func TestWhatIsHandedOutCanBeSent(t *testing.T) {
	id := session.ID{1, 2, 3, 255}
	addr := netip.MustParseAddrPort("[2001:db8::1]:7777")
	for _, v := range []any{
		id, session.Kicked, framework.Reason{Code: 1000, Text: "over"}, framework.Tick{N: 7, Step: time.Second, Overrun: 1},
		addr, addr.Addr(), netip.MustParsePrefix("10.0.0.0/8"), transport.WebSocket, framework.DeliverNewest, framework.DuplicateAdopt,
		framework.Login{Ticket: []byte("t"), Info: "i", Addr: addr, Carrier: transport.KCP},
		framework.Info{ID: id, User: "ann", Addr: addr, RTT: 1.5}, framework.RoomInfo{Type: "a", Key: "b", Players: 1},
		session.CloseError{Code: session.Busy, Text: "later", Detail: 5}, codec.Error{Code: 1000, Text: "no"}, time.Second,
		[]session.ID{id}, map[session.ID]int{id: 1}, struct{ Who *session.ID }{&id},
	} {
		body, err := codec.AppendBody(nil, v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		got := reflect.New(reflect.TypeOf(v))
		if err := codec.DecodeBody(body, got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), v) {
			t.Errorf("%T: %+v came back as %+v, %v", v, v, got.Elem(), err)
		}
	}
}
