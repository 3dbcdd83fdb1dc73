// SPDX-License-Identifier: MIT

package gen

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lifeline-go/lifeline/framework"
)

// T is what Check needs of a *testing.T. So a server that calls Announce is built
// without package testing.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Option is what Check takes besides the lock: TypeScript, CSharp, and what Enum
// returns.
type Option interface{ option() }

func (EnumValues) option() {}

// emitter writes the messages for one language, one emitter a file.
type emitter interface {
	Option
	emit(s *schema) (path string, content []byte, err error)
}

// writing is the environment variable that makes Check write.
const writing = "LIFELINE_GEN"

// header begins messages.lock.
const header = `# What this server and its clients say to each other, written by LIFELINE_GEN=1 go test.
# Keep it with the code. Fields and values are only ever appended: package framework/gen says why.
# A change that breaks clients on purpose is made here, too: change the line, or delete it.
`

// Check compares what the routes of srv take and send with the lock file, and
// fails the test where a client that was built to the lock would not understand
// this server, or the server it; the sentence names the type, the field and what
// to do. It fails, too, if the lock or a file for clients is not what the routes
// say. With LIFELINE_GEN set in the environment it writes them instead. srv has
// all its routes and need not be started. Paths are relative to the test.
func Check(t T, srv *framework.Server, lock string, options ...Option) {
	t.Helper()
	var enums []EnumValues
	for _, o := range options {
		if e, ok := o.(EnumValues); ok {
			enums = append(enums, e)
		}
	}
	now, err := schemaOf(srv, enums)
	if err != nil {
		t.Errorf("messages: %v", err)
		return
	}
	checkAnnounced(t, srv, now)
	if !checkLock(t, lock, now) {
		return
	}
	put(t, lock, []byte(header+"\n"+now.text()))
	for _, o := range options {
		if e, ok := o.(emitter); ok {
			path, content, err := e.emit(now)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			put(t, path, content)
		}
	}
}

// checkLock reports whether now is the lock, or what may follow it.
func checkLock(t T, lock string, now *schema) bool {
	t.Helper()
	text, err := os.ReadFile(lock)
	if os.IsNotExist(err) {
		return true
	} else if err != nil {
		t.Errorf("messages: %v", err)
		return false
	}
	before, err := parse(string(text))
	if err != nil {
		t.Errorf("%s: %v", lock, err)
		return false
	}
	differences := compare(before, now, true)
	for _, d := range differences {
		t.Errorf("%s: %s", lock, d.forLock())
	}
	return len(differences) == 0
}

// put writes a file that is not what it should be, or fails the test.
func put(t T, path string, content []byte) {
	t.Helper()
	old, err := os.ReadFile(path)
	// git may have given the lines other ends.
	if err == nil && bytes.Equal(bytes.ReplaceAll(old, []byte("\r\n"), []byte("\n")), content) {
		return
	}
	if os.Getenv(writing) == "" {
		t.Errorf("%s is not what the routes say: run %s=1 go test%s", path, writing, firstChange(old, content))
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Errorf("messages: %v", err)
	} else if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // source code
		t.Errorf("messages: %v", err)
	}
}

// firstChange names the first line that is new.
func firstChange(old, content []byte) string {
	has := strings.Split(string(old), "\n")
	for i, line := range strings.Split(string(content), "\n") {
		if i >= len(has) || strings.TrimSuffix(has[i], "\r") != line {
			return fmt.Sprintf(": line %d will be %q", i+1, line)
		}
	}
	return ""
}
