// SPDX-License-Identifier: MIT

package session

import "fmt"

// Code says why a link or a session ended. The number alone tells the client
// what to do next: SPEC 9.
type Code uint32

const (
	// 1-99: only the link is gone. Resume.

	LinkLost       Code = 1  // the carrier broke, or nothing came back in time
	Protocol       Code = 2  // the link carried something no correct peer sends
	Gap            Code = 3  // the link lost a counted packet
	SlowReader     Code = 4  // the peer did not read what was sent to it
	Overloaded     Code = 5  // the peer went on sending although it was held
	OpeningTimeout Code = 6  // no HELLO or RESUME within the opening deadline
	Busy           Code = 7  // come back after Detail milliseconds
	ShuttingDown   Code = 8  // the server drains; come back, here or elsewhere
	Moved          Code = 9  // the session lives at another server; the text is its address
	Unsealed       Code = 10 // the session goes on over sealed links only

	// 100-199: the session is gone. Log in again.

	Unknown      Code = 100 // no such session, or no valid proof of it
	Gone         Code = 101 // it ended; Detail is how many packets it had accepted
	Expired      Code = 102 // the player did not come back within the grace
	Stale        Code = 103 // a later attempt of the same player won
	Overflow     Code = 104 // its buffer overflowed again and again
	TooOld       Code = 105 // older than the longest life of a session
	Left         Code = 106 // the player logged out
	Internal     Code = 107 // the server failed
	Inconsistent Code = 108 // the client claims to have what was never sent

	// 200-299: final. Do not come back automatically.

	Kicked    Code = 200 // the game ended the session
	Banned    Code = 201 // the game does not let the user in any more
	TakenOver Code = 202 // the same user logged in elsewhere
	Version   Code = 203 // the two ends speak different protocols
	Policy    Code = 204 // a rule was broken, as by a flood
	Denied    Code = 205 // the game refused the ticket, without a code of its own
	AlreadyIn Code = 206 // another session of the user has a link, and the game allows no takeover
	Outdated  Code = 207 // the app is too old; the text is where to get a newer one

	// Game is the first of the codes that belong to the game. They are final.
	Game Code = 1000
)

var codeNames = map[Code]string{
	LinkLost: "link lost", Protocol: "protocol error", Gap: "gap", SlowReader: "slow reader", Overloaded: "overloaded",
	OpeningTimeout: "opening timeout", Busy: "busy", ShuttingDown: "shutting down", Moved: "moved", Unsealed: "unsealed",
	Unknown: "unknown session", Gone: "session gone", Expired: "expired", Stale: "stale", Overflow: "overflow",
	TooOld: "too old", Left: "left", Internal: "internal error", Inconsistent: "counts contradict",
	Kicked: "kicked", Banned: "banned", TakenOver: "taken over", Version: "version", Policy: "policy", Denied: "denied",
	AlreadyIn: "already logged in", Outdated: "outdated",
}

// String returns the code in words.
func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", uint32(c))
}

// Resumable reports whether only the link ended.
func (c Code) Resumable() bool { return c < 100 }

// Final reports whether the client must not come back by itself.
func (c Code) Final() bool { return c >= 200 }

// Ends reports whether a session may end with the code: one of section 9 that
// does not leave it alive, or the game's own. The rest below Game is kept for
// later versions.
func (c Code) Ends() bool {
	_, named := codeNames[c]
	return c >= Game || named && !c.Resumable()
}

// CloseError is the end of a link or session as an error. Remote says that the peer
// ended it.
type CloseError struct {
	Code   Code
	Text   string
	Remote bool
	Detail uint64 // Busy: milliseconds to wait; Stale: last accepted attempt; Gone: final count; final codes: the game's
}

func (e *CloseError) Error() string {
	how := "closed"
	if e.Remote {
		how = "closed by peer"
	}
	if e.Text == "" {
		return fmt.Sprintf("session: %s: %v", how, e.Code)
	}
	return fmt.Sprintf("session: %s: %v: %s", how, e.Code, e.Text)
}
