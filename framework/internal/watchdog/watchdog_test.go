// SPDX-License-Identifier: MIT

package watchdog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCallsThatDoNotReturnAreNamedOnce: each after its executor's time, and counted
// while they last.
func TestCallsThatDoNotReturnAreNamedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := New(slog.New(slog.NewTextHandler(&log, nil)), time.Now(), time.Since)
		user, query, slow, quick := "ann", "query", "slow", "quick"
		loop, room, worker := w.Register(Loop, "3"), w.Register(Room, "lair/7"), w.Register(Worker, "")
		w.Begin(loop, &user, &quick)
		loop.End()
		w.Begin(room, nil, &query)
		w.Begin(worker, &user, &slow)
		time.Sleep(5 * time.Second)
		if n := w.Stuck(); n["loop"] != 0 || n["room"] != 1 || n["worker"] != 0 || w.Rooms() != 1 {
			t.Errorf("stuck %v, %d rooms", n, w.Rooms())
		}
		if got := w.Busy(); !strings.Contains(got, `"query" in room lair/7 for 5s`) || !strings.Contains(got, `"slow" of user "ann" for 5s`) || strings.Contains(got, "quick") {
			t.Errorf("busy%s", got)
		}
		time.Sleep(time.Hour)
		room.End()
		worker.End()
		w.Forget(room)
		synctest.Wait()
		got := log.String()
		if strings.Count(got, "\n") != 2 || !strings.Contains(got, `msg="a room is blocked" route=query took=1s`) || !strings.Contains(got, "room=lair/7") {
			t.Errorf("the log has\n%s", got)
		}
		if n := w.Stuck(); n["room"] != 0 || n["worker"] != 0 || w.Busy() != "" || w.Rooms() != 0 {
			t.Errorf("all have returned: stuck %v%s, %d rooms", n, w.Busy(), w.Rooms())
		}
		time.Sleep(time.Hour) // no timer is left: the bubble ends
	})
}
