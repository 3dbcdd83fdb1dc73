// SPDX-License-Identifier: MIT

package transport

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/lifeline-go/lifeline/transport/seal"
)

// serverKeys returns the key pairs of the sealed carrier. The first is the one
// that clients are told.
func (c *Config) serverKeys(log *slog.Logger) ([]seal.Key, error) {
	if len(c.Keys) > 0 {
		return c.Keys, nil
	}
	if c.KeyFile != "" {
		return keysOf(c.KeyFile, log)
	}
	if c.Network == nil {
		log.Warn("transport: no Config.KeyFile: the server's key is another one after each start")
	}
	key, err := seal.NewKey(rand.Reader)
	return []seal.Key{key}, err
}

// PublicKeys returns the public halves of the keys in a Config.KeyFile. Clients are told
// the first. The file is made if there is none.
func PublicKeys(keyFile string, log *slog.Logger) (list []string, err error) {
	keys, err := keysOf(keyFile, log)
	for _, key := range keys {
		list = append(list, key.Public().String())
	}
	return list, err
}

// keysOf reads a file of keys, one a line, and makes one if there is none.
func keysOf(path string, log *slog.Logger) ([]seal.Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKeyFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("transport: server key: %w", err)
	}
	if err := private(path, log); err != nil {
		return nil, fmt.Errorf("transport: server key: %w", err)
	}
	var keys []seal.Key
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, err := seal.ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("transport: server key: %s line %d: %w", path, i+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("transport: server key: no key in %s", path)
	}
	return keys, nil
}

// private refuses a file of ours that others can read, as ssh does: with the
// key a program can pose as the server. A file of another user, as one that was
// mounted into a container, can't be mended here: that is only a warning.
func private(path string, log *slog.Logger) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	switch mine, known := ownFile(info); {
	case !known:
	case mine && mode&0o077 != 0:
		return fmt.Errorf("others may use %s, mode %#o: make that 0600 (chmod 600)", path, mode)
	case mode&0o007 != 0:
		log.Warn("transport: every user of this machine may use the file of the server key", "error", fmt.Sprintf("%s has mode %#o", path, mode))
	}
	return nil
}

// makeKeyFile writes a new key where only the server's user can read it. Of
// two servers that start at once one writes, and both use what it wrote.
func makeKeyFile(path string) ([]byte, error) {
	key, err := seal.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	text := []byte("# The private key of this server. Its public key, for the clients:\n# " +
		key.Public().String() + "\n" + key.Text() + "\n")
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(text); err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}
