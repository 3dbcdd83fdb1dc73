// SPDX-License-Identifier: MIT

package session

import (
	"flag"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// The model tries every order of events, within bounds, on the real Session,
// Table and Client: breadth first, so that what it finds has the shortest
// trace. The simulation (sim_test.go) goes further, but only where its dice
// lead it.

var deepModel = flag.Bool("model.deep", false, "explore larger models: minutes and gigabytes")

// modelFault is a mistake made on purpose.
type modelFault uint8

const (
	noFault modelFault = iota
	takeOld
	writeToOld
	readOld
	fenceFirst
	countRefused
	lockOut
	redeliver
	zeroCount
	trimOne
	acceptLate
	detachTwice
	noTombstone
	forgetLost
	forgetWakeUp
	overtake
)

// slice is one exploration: where it starts, and how much may happen.
type slice struct {
	name   string
	open   bool // start with a session that is open and confirmed
	small  int  // SendPackets, so that the server's buffer overflows; 0: the default
	budget modelBudget
	deep   modelBudget // what is added with -model.deep
}

// A budget of everything at once is too many states, so each slice has much of
// a few things. dials counts the first link where open is false.
var modelSlices = []slice{
	{
		name: "traffic", open: true,
		budget: modelBudget{clientSends: 2, serverSends: 2, dials: 2, cuts: 1},
		deep:   modelBudget{clientSends: 1, serverSends: 1},
	}, {
		name: "traffic on one link more", open: true,
		budget: modelBudget{clientSends: 3, serverSends: 3, dials: 1, cuts: 1},
		deep:   modelBudget{pings: 1},
	}, {
		name: "kicked and expired", open: true,
		budget: modelBudget{clientSends: 1, serverSends: 1, dials: 2, cuts: 1, losesReply: 1, kicks: 1, expires: 1},
		deep:   modelBudget{clientSends: 1, repeats: 1},
	}, {
		name: "RESUME repeated", open: true,
		budget: modelBudget{clientSends: 1, serverSends: 1, dials: 2, cuts: 1, losesReply: 1, repeats: 1},
		deep:   modelBudget{clientSends: 1, serverSends: 1},
	}, {
		name:   "opening",
		budget: modelBudget{clientSends: 1, serverSends: 1, dials: 2, cuts: 1, losesReply: 1, kicks: 1, expires: 1},
		deep:   modelBudget{dials: 1, repeats: 1},
	}, {
		name: "resumes that fail", open: true,
		budget: modelBudget{clientSends: 1, dials: 4},
		deep:   modelBudget{dials: 1, cuts: 1, losesReply: 1, expires: 1},
	}, {
		name: "overflow", open: true, small: 1,
		budget: modelBudget{clientSends: 1, serverSends: 3, dials: 2, cuts: 1, losesReply: 1},
		deep:   modelBudget{clientSends: 1, kicks: 1, expires: 1},
	}, {
		name: "overflow while opening", small: 1,
		budget: modelBudget{serverSends: 3, dials: 3, losesReply: 1},
		deep:   modelBudget{cuts: 1, kicks: 1, expires: 1},
	}, {
		name: "packets swallowed", open: true,
		budget: modelBudget{clientSends: 2, serverSends: 1, dials: 1, swallowsUp: 1, swallowsDown: 1, pings: 1},
		deep:   modelBudget{dials: 1, cuts: 1},
	},
}

// TestModel explores every slice. Nothing may be found in it.
func TestModel(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a state is small: it would be collected all the time
	var states, transitions int
	for _, sl := range modelSlices {
		t.Run(sl.name, func(t *testing.T) {
			for i, n := range sl.deep {
				switch {
				case *deepModel:
					sl.budget[i] += n
				case !modelRaced && !testing.Short() || modelAct(i) == dials:
				case modelAct(i) == cuts:
					sl.budget[i] = 0
				case sl.small == 0 && sl.budget[swallowsUp] == 0:
					// One goroutine has no race to find: a small model will do.
					sl.budget[i] = min(sl.budget[i], 1)
				}
			}
			f := exploreSlice(t, sl, noFault, false)
			if f.bad != "" {
				t.Error(f.bad)
			}
			states += f.states
			transitions += f.transitions
		})
	}
	t.Logf("%d states, %d transitions", states, transitions)
}

// TestModelFindsFaults breaks a rule at a time. Outwards means that what the
// applications, the hooks and the ends see of it must be enough.
func TestModelFindsFaults(t *testing.T) {
	const inside, outwards = false, true
	for _, tt := range []struct {
		name     string
		fault    modelFault
		outwards bool
		slice    string
	}{
		// Numbers would keep these two from doing harm here; they break a promise all the same.
		{"packets of an old link are taken", takeOld, inside, "traffic"},
		{"packets are written to an old link", writeToOld, inside, "traffic"},
		{"the client reads a link that it left", readOld, outwards, "traffic"},
		{"the old link is fenced before the proof", fenceFirst, outwards, "traffic"},
		{"a refused RESUME counts as an attempt", countRefused, outwards, "RESUME repeated"},
		{"a lost RESUMED locks the player out", lockOut, outwards, "traffic"},
		{"an accepted packet is asked for again", redeliver, outwards, "traffic"},
		{"the count starts anew with a resume", zeroCount, outwards, "traffic"},
		{"one packet too many is trimmed", trimOne, outwards, "traffic"},
		{"acknowledged before it is in the inbox", acceptLate, outwards, "traffic"},
		{"a detach is told twice", detachTwice, outwards, "traffic"},
		{"a dead session leaves no tombstone", noTombstone, outwards, "kicked and expired"},
		{"an undelivered packet is not reported", forgetLost, outwards, "kicked and expired"},
		{"nobody writes after a resume", forgetWakeUp, outwards, "traffic"},
		{"a HELLO that was overtaken is taken", overtake, outwards, "opening"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := slices.IndexFunc(modelSlices, func(sl slice) bool { return sl.name == tt.slice })
			f := exploreSlice(t, modelSlices[i], tt.fault, tt.outwards)
			if t.Log(f.bad); f.bad == "" {
				t.Error("not found")
			}
		})
	}
}

// TestModelKnowsItsFields fails when a type that the model copies gets another
// field: clone must copy what it points to, and key must tell states apart by
// it unless it is a time or constant here.
func TestModelKnowsItsFields(t *testing.T) {
	for _, tt := range []struct {
		of   any
		want string
	}{
		{packet{}, "body kind shared tag"},
		{queue{}, "backlog"},
		{backlog{}, "ring head n bytes"},
		{endpoint{}, "out acked wrote sent next recv lastRecv lastSent progressAt pingAt pingSentAt pingAllow srtt inFlight unacked unackedBytes auditUpTo sinceQuestion " +
			"pingID echoID floods pings pingOpen questionOpen pingDue echoDue echoInDatagram ackDue held holding holdDue"},
		{Session{}, "endpoint shard id attempt interval timeout openedAt graceEnd overflowAt epoch dropped reason state overflows " +
			"confirmed everHeard overflowed asked tuneDue answered"},
		{Client{}, "endpoint pool cfg state params id key seal have fresh everUp opening ticket drawn asked nonce greeted knock knockAt epoch attempt at moveTo moveAt retried routes numbers " +
			"ctl changes cut tries failures referrals dialAt openBy openedAt beatEvery probeBy carriedAt checked wall due"},
		{Table[uint8]{}, "entries free live users opening tombstones expiries firstExpiry keepFor maxTombstones attempts attemptsBefore rotateAt"},
	} {
		var names []string
		typ := reflect.TypeOf(tt.of)
		for i := range typ.NumField() {
			names = append(names, typ.Field(i).Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%T has the fields\n%s, the model knows\n%s", tt.of, got, tt.want)
		}
	}
}
