// SPDX-License-Identifier: MIT

//go:build unix

package transport

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeyFileThatOthersMayUseIsRefused: a program that reads it can pose as the server.
func TestKeyFileThatOthersMayUseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	log := slog.New(slog.DiscardHandler)
	made, err := keysOf(path, log)
	if err != nil || len(made) != 1 {
		t.Fatalf("a new one: %d keys, %v", len(made), err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o700: true, 0o640: false, 0o620: false, 0o644: false, 0o604: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		keys, err := keysOf(path, log)
		if (err == nil) != ok || ok && keys[0].Public() != made[0].Public() {
			t.Errorf("mode %#o: %v", mode, err)
		}
		if !ok && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %#o: %v does not say what to do", mode, err)
		}
	}
}
