// SPDX-License-Identifier: MIT

//go:build unix

package transport

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// TestCertificateThatCouldNotBeReadIsReadLater: a right that is given later, or files that
// have run out for a moment, change neither the size nor the time of a file.
func TestCertificateThatCouldNotBeReadIsReadLater(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCert(t, cert, key, 7)
	log := &bytes.Buffer{}
	f, err := readCertFiles(cert, key, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c, err := f.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	writeCert(t, cert, key, 1<<40)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n := serial(); n != 7 {
			t.Errorf("certificate %d while no file can be opened", n)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 1<<40 {
		t.Errorf("certificate %d when files can be opened again", n)
	}
	if n := strings.Count(log.String(), "not renewed"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log)
	}
}
