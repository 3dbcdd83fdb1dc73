// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"time"
)

// roomWork is what runs for a room on goroutines of its own. The room's goroutine
// owns it.
type roomWork struct {
	running int
	ctx     context.Context // nil before the first
	stop    context.CancelFunc
	waited  bool // for its end: it must come
	over    bool // OnEnd is due: nothing is begun any more
}

const (
	// maxWork bounds what runs for one room at once.
	maxWork = 256
	// workGrace is how long work may go on once its room has ended.
	workGrace = 10 * time.Second
)

// await reports whether no work runs any more. What does has some time left.
func (w *roomWork) await() bool {
	if w.running > 0 && !w.waited {
		w.waited = true
		time.AfterFunc(workGrace, w.stop)
	}
	return w.running == 0
}

func (w *roomWork) cancel() {
	w.over = true
	if w.stop != nil {
		w.stop()
	}
}
