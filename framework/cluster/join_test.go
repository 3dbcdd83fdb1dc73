// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// TestKeyFiles: a server is kept out if its clients would not find the key that they know. A
// key can be replaced: files have both for a while.
func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	// file makes a KeyFile of the keys of others.
	file := func(name string, of ...string) string {
		var text []byte
		for _, other := range of {
			b, err := os.ReadFile(filepath.Join(dir, other))
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, b...)
		}
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	synctest.Test(t, func(t *testing.T) {
		var bus cluster.Memory
		start := func(keyFile string) (*framework.Server, error) {
			c, err := cluster.New(cluster.Config{Bus: &bus})
			if err != nil {
				t.Fatal(err)
			}
			srv, err := framework.New(framework.Config{
				Cluster: c, Secret: session.Secret{1}, SealedTCP: "127.0.0.1:0", KeyFile: keyFile,
				Logger: slog.New(slog.DiscardHandler), Network: network(),
			})
			if err != nil {
				return nil, err
			}
			return srv, srv.Start()
		}
		stop := func(srv *framework.Server) {
			t.Helper()
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if _, err := start(""); err == nil || !strings.Contains(err.Error(), "KeyFile") {
			t.Errorf("without a KeyFile: %v", err)
		}
		old, err := start(filepath.Join(dir, "old")) // makes it
		if err != nil {
			t.Fatal(err)
		}
		if _, err := start(filepath.Join(dir, "new")); !errors.Is(err, cluster.ErrKey) || !strings.Contains(err.Error(), "that of server 1") {
			t.Errorf("another key: %v", err)
		}
		both, err := start(file("both", "new", "old"))
		if err != nil {
			t.Fatalf("another key first, and that of the others: %v", err)
		}
		stop(old)
		fresh, err := start(filepath.Join(dir, "new"))
		if err != nil {
			t.Fatalf("the other key, which the others have as well: %v", err)
		}
		stop(both)
		stop(fresh)
	})
}
