// SPDX-License-Identifier: MIT

package framework_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestKeyOfAKickedPlayerOpensNothing: the seal key of a session that was kicked
// opens no link any more. Its client is told so on a link that it opens with the
// server's public key.
func TestKeyOfAKickedPlayerOpensNothing(t *testing.T) {
	simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{}, nil, func(e *env) {
		c := e.dial("eve", transport.KCP)
		p := e.players()[0]
		c.Pause()
		e.within(20*time.Second, "eve is detached", func() bool { return !p.Attached() })
		if n := e.srv.Stats().Transport.Handshakes.SessionEnded; n != 0 {
			t.Fatalf("%d refused before", n)
		}
		p.Kick(session.Kicked, "")
		c.Hurry()
		<-c.Done()
		var end *session.CloseError
		if err := c.Err(); !errors.As(err, &end) || end.Code != session.Kicked {
			t.Errorf("eve was told %v, want %v", err, session.Kicked)
		}
		if h := e.srv.Stats().Transport.Handshakes; h.SessionEnded == 0 || h.Resumed != 0 {
			t.Errorf("%+v, want RESUME-HELLOs refused and none accepted", h)
		}
	})
}
