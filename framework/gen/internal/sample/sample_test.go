// SPDX-License-Identifier: MIT

package sample_test

import (
	"testing"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gen"
	"github.com/lifeline-go/lifeline/framework/gen/internal/sample"
)

// TestMessages keeps what the tests of the clients compile.
func TestMessages(t *testing.T) {
	srv, err := framework.New(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sample.Register(srv)
	const clients = "../../../client/"
	gen.Check(t, srv, "messages.lock", gen.Enum(sample.Teams), gen.Enum(sample.Wides),
		gen.TypeScript{Path: clients + "js/test/messages.ts", Import: "../src/index.js"},
		gen.CSharp{Path: clients + "csharp/Tests~/Messages.cs", Namespace: "Sample"})
}
