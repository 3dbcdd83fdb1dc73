// SPDX-License-Identifier: MIT

package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// certFiles is a certificate and its key in two files, which are read again when one of
// them has changed: a renewed certificate needs no restart. A handshake looks, so
// neither a goroutine nor a timer does. Safe to use from any goroutine.
type certFiles struct {
	paths [2]string
	log   *slog.Logger

	mu     sync.Mutex
	seen   [2]os.FileInfo // of the last attempt, successful or not
	unread bool           // a file could not be read then, and may be now as it is
	cert   *tls.Certificate
}

// readCertFiles reads both for the first time.
func readCertFiles(cert, key string, log *slog.Logger) (*certFiles, error) {
	f := &certFiles{paths: [2]string{cert, key}, log: log}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.loadLocked(); err != nil {
		return nil, fmt.Errorf("transport: certificate: %w", err)
	}
	return f, nil
}

// get is tls.Config.GetCertificate. It goes on with the old certificate where the new
// one can't be read, which is told once for each change of the files.
func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if changed := f.changedLocked(); changed || f.unread {
		if err := f.loadLocked(); err != nil && changed {
			f.log.Error("transport: certificate not renewed", slog.String("file", f.paths[0]), slog.Any("error", err))
		} else if err == nil {
			f.log.Info("transport: certificate renewed", slog.String("file", f.paths[0]), slog.Time("expires", f.cert.Leaf.NotAfter))
		}
	}
	return f.cert, nil
}

// changedLocked reports whether a file is another one than it was. One that is missing
// for a moment, while it is replaced, is not.
func (f *certFiles) changedLocked() bool {
	for i, path := range f.paths {
		now, err := os.Stat(path)
		if was := f.seen[i]; err == nil && (was == nil || !os.SameFile(was, now) || was.Size() != now.Size() || !was.ModTime().Equal(now.ModTime())) {
			return true
		}
	}
	return false
}

func (f *certFiles) loadLocked() error {
	for i, path := range f.paths {
		f.seen[i], _ = os.Stat(path) // before it is read: what changes meanwhile is read again
	}
	cert, err := tls.LoadX509KeyPair(f.paths[0], f.paths[1])
	var cannot *os.PathError // no right to it yet, or no file left to open it with
	f.unread = errors.As(err, &cannot)
	if err != nil && !f.unread { // else the error names the file
		return fmt.Errorf("%s with key %s: %w", f.paths[0], f.paths[1], err)
	}
	if err != nil {
		return err
	}
	if now := clock(); now.Before(cert.Leaf.NotBefore) || now.After(cert.Leaf.NotAfter) {
		f.log.Warn("transport: the certificate is not valid today: clients refuse it", slog.String("file", f.paths[0]), slog.Time("expires", cert.Leaf.NotAfter))
	}
	f.cert = &cert
	return nil
}
