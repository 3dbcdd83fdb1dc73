// SPDX-License-Identifier: MIT

package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gen"
)

// TestMessages fails when players with an older page would not understand this
// server. LIFELINE_GEN=1 go test writes what they are built from.
func TestMessages(t *testing.T) {
	g := &game{log: slog.Default(), tick: time.Second, length: time.Minute}
	srv, err := g.newServer(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	gen.Check(t, srv, "messages.lock",
		gen.TypeScript{Path: "page/src/wire.ts", Import: "../../../../framework/client/js/src/index.js", Numbers: true},
		gen.TypeScript{Path: "../../framework/client/js/examples/messages.ts", Numbers: true},
		gen.CSharp{Path: "../../framework/client/csharp/Samples~/Console/Messages.cs", Namespace: "Arena"},
		gen.CSharp{Path: "../../framework/client/csharp/Samples~/Arena/Messages.cs", Namespace: "Arena"})
}
