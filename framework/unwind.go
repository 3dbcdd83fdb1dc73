// SPDX-License-Identifier: MIT

package framework

import "errors"

// The game's code may panic, and it may end its goroutine by runtime.Goexit, as
// t.FailNow of package testing does. Both end what it was called for and nothing
// else. A panic is over once it is recovered. Goexit can't be: the goroutine runs
// what was deferred and is gone, so what must follow a call of the game's code
// is deferred, and the owner of the goroutine goes on in another one.

// errGoexit is what is told in the place of a panic's value.
var errGoexit = errors.New("runtime.Goexit was called, which ends a goroutine that serves other players too")

// unwinding returns what a deferred function says of the call that it guards, nil
// if that has returned: r is what recover returned.
func unwinding(returned bool, r any) any {
	if !returned && r == nil {
		return errGoexit
	}
	return r
}
