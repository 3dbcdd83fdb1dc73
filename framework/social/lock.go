// SPDX-License-Identifier: MIT

package social

import (
	"sync"

	"github.com/lifeline-go/lifeline/framework"
)

// lock is a Mutex under which players are told what changes, in that order. What this makes
// the server call of the game's code is put off until release.
type lock struct {
	sync.Mutex
	then []func()
}

func (l *lock) pushLocked(p *framework.Player, route string, v any) {
	then, _ := p.PushThen(route, v)
	l.then = append(l.then, then)
}

// release is Unlock where something may have been pushed.
func (l *lock) release() {
	then := l.then
	l.then = nil
	l.Unlock()
	for _, f := range then {
		f()
	}
}
