// SPDX-License-Identifier: MIT

package seal

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func at(n uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(n >> 8)}), n)
}

func TestAddressChangesOnceItIsProved(t *testing.T) {
	var p Paths
	challenge, ask := p.Received(0, at(1), 100, true, seeded(1))
	if !ask || challenge == [8]byte{} {
		t.Fatal("not asked")
	}
	if p.Validate(0, at(2), challenge) {
		t.Error("answered from elsewhere")
	}
	if p.Validate(0, at(1), [8]byte{1}) {
		t.Error("answered with another challenge")
	}
	if p.Validate(validationTimeout, at(1), challenge) {
		t.Error("answered too late")
	}
	if !p.Validate(validationTimeout-1, at(1), challenge) {
		t.Error("the answer was refused")
	}
	if !p.Idle(validationTimeout - 1) {
		t.Error("in question after the answer")
	}
	if p.Validate(validationTimeout-1, at(1), challenge) {
		t.Error("answered twice")
	}
}

// T9: who gets here first with a copy gains three times its bytes, and the
// address in use is kept.
func TestCandidateGetsThreeTimesWhatItSent(t *testing.T) {
	var p Paths
	if _, ask := p.Received(0, at(1), 100, true, seeded(1)); !ask {
		t.Fatal("not asked")
	}
	if !p.AllowSend(0, at(1), 33) {
		t.Error("no budget for the challenge")
	}
	sent := 33
	for range 100 {
		if to, ok := p.MirrorTo(time.Second, 50); ok {
			if to != at(1) {
				t.Fatalf("to %v", to)
			}
			sent += 50
		}
	}
	if sent > 300 || sent < 250 {
		t.Errorf("%d bytes for 100", sent)
	}
	if p.AllowSend(0, at(1), 100) || p.AllowSend(0, at(2), 1) {
		t.Error("spent what is not there")
	}
	// The player's own next datagram ends it.
	p.Received(0, at(1), 1000, true, seeded(2))
	p.ReceivedActive()
	if _, ok := p.MirrorTo(time.Second, 1); ok {
		t.Error("still sent there although the player is where he was")
	}
	p.Received(0, at(1), 10, true, seeded(2))
	if _, ok := p.MirrorTo(validationTimeout, 1); ok {
		t.Error("still sent there after its time")
	}
}

// T10: copies from many addresses make three entries, one challenge each.
func TestPathsAreBounded(t *testing.T) {
	var p Paths
	asked := 0
	for n := range uint16(50_000) {
		if _, ask := p.Received(time.Duration(n)*time.Microsecond, at(n), 100, true, seeded(1)); ask {
			asked++
		}
	}
	if asked != maxPaths {
		t.Errorf("%d challenges, want %d", asked, maxPaths)
	}
	if _, ask := p.Received(validationTimeout, at(60_000), 100, true, seeded(1)); !ask {
		t.Error("no place after five seconds")
	}
}

func TestLateDatagramsMoveNothing(t *testing.T) {
	var p Paths
	if _, ask := p.Received(0, at(1), 100, false, seeded(1)); ask || !p.Idle(0) {
		t.Error("a late datagram made a candidate")
	}
	p.Received(0, at(1), 100, true, seeded(1))
	p.Received(0, at(2), 100, true, seeded(2))
	p.Received(0, at(1), 100, false, seeded(1))
	if to, _ := p.MirrorTo(0, 1); to != at(2) {
		t.Errorf("sent to %v, want where the newest came from", to)
	}
}

func TestChallengeIsRepeated(t *testing.T) {
	var p Paths
	first, _ := p.Received(0, at(1), 100, true, seeded(1))
	var asked []time.Duration
	for now := time.Duration(0); now < 900*time.Millisecond; now += 50 * time.Millisecond {
		if c, ask := p.Received(now, at(1), 100, true, seeded(2)); ask {
			if c != first {
				t.Fatal("another challenge")
			}
			asked = append(asked, now.Round(time.Millisecond))
		}
	}
	if want := []time.Duration{challengeEvery, 2 * challengeEvery, 3 * challengeEvery, 4 * challengeEvery}; !slices.Equal(asked, want) {
		t.Errorf("asked again at %v, want %v", asked, want)
	}
}

func TestControlRoundTrip(t *testing.T) {
	for _, c := range []Control{{ControlChallenge, [8]byte{1, 2}}, {ControlResponse, [8]byte{3}}, {Kind: ControlClose}} {
		b := c.Append(nil, 0)
		if got, err := ParseControl(b); err != nil || got != c {
			t.Errorf("%v is read as %v, %v", c, got, err)
		}
	}
	padded := Control{ControlChallenge, [8]byte{1}}.Append(nil, 1000)
	if c, err := ParseControl(padded); len(padded) != 1000 || err != nil || c.Token != [8]byte{1} {
		t.Errorf("%d bytes, %v, %v", len(padded), c, err)
	}
	for _, b := range [][]byte{nil, {0}, {4}, {1}, {1, 0, 0, 0, 0, 0, 0, 0}, {2, 0}, append([]byte{2}, make([]byte, 9)...), {3, 0}} {
		if c, err := ParseControl(b); !errors.Is(err, ErrPayload) {
			t.Errorf("%x is read as %v, %v", b, c, err)
		}
	}
}

// T28: a reset answers no reset, is shorter than what it answers, and there
// are only so many.
func TestResetsDieOut(t *testing.T) {
	r, _, _ := newServer(t, nil)
	client, _ := ends()
	b := seal(t, client, "12345678")
	if len(b) != resetTrigger {
		t.Fatalf("%d bytes", len(b))
	}
	reset := r.Reset(0, home, b)
	if len(reset) != ResetSize {
		t.Fatalf("%d bytes", len(reset))
	}
	if id, typ, ok := Parse(reset); id != client.ID() || typ != TypeReset || !ok {
		t.Errorf("%x", reset)
	}
	for name, b := range map[string][]byte{
		"a reset":     append(slices.Clone(reset), make([]byte, 100)...),
		"a hello":     newResumer(t, [16]byte{}, 1).Hello(),
		"a short one": seal(t, client, "1234567"),
		"plain KCP":   append([]byte{1, 0, 0, 0, 0x51}, make([]byte, 100)...),
		"nothing":     nil,
	} {
		if r.Reset(0, home, b) != nil {
			t.Errorf("%s was answered", name)
		}
	}
	n := 1
	for range 3 * resetRate {
		if r.Reset(0, home, b) != nil {
			n++
		}
	}
	if n != resetNetworkRate || r.Reset(time.Second, home, b) == nil {
		t.Errorf("%d resets of one network at once", n)
	}
	n = 0
	for i := range 3 * resetRate {
		if r.Reset(time.Minute, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 1), b) != nil {
			n++
		}
	}
	if n != resetRate {
		t.Errorf("%d resets at once", n)
	}
}

func TestResetOnlyRaisesDoubt(t *testing.T) {
	r, _, _ := newServer(t, nil)
	client, _ := ends()
	var d ResetDetector
	sealed := func(text string) []byte {
		b := seal(t, client, text)
		d.Sent(b)
		return b
	}
	first := sealed("the first one")
	for range remembered - 1 {
		sealed("another")
	}
	ask, err := d.Reset(time.Second, r.Reset(0, home, first))
	if !ask || err != nil {
		t.Fatal(ask, err)
	}
	if ask, err := d.Reset(time.Second+1, r.Reset(0, home, first)); ask || err != nil {
		t.Error("asks again for every reset")
	}
	if lost, due := d.Lost(time.Second); lost || due != time.Second+resetWait {
		t.Error(lost, due)
	}
	if lost, _ := d.Lost(time.Second + resetWait); !lost {
		t.Error("not believed although nothing came")
	}
	d.Received()
	if lost, due := d.Lost(time.Hour); lost || due != 0 {
		t.Error("believed although the server was heard")
	}
	sealed("one more")
	if _, err := d.Reset(time.Second, r.Reset(0, home, first)); !errors.Is(err, ErrForged) {
		t.Errorf("a reset for a datagram of long ago: %v", err)
	}
	if _, err := new(ResetDetector).Reset(0, make([]byte, ResetSize)); !errors.Is(err, ErrForged) {
		t.Errorf("a reset of zeros before anything was sent: %v", err)
	}
	if _, err := d.Reset(0, first); !errors.Is(err, ErrSize) {
		t.Errorf("a long reset: %v", err)
	}
}
