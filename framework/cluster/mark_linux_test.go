// SPDX-License-Identifier: MIT

package cluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

const markVariable = "LIFELINE_TEST_MARK"

// TestMarkOfAProcess: a mark proves an end when its process was killed, and not before; nor
// does one that says nothing, or was made in another boot.
func TestMarkOfAProcess(t *testing.T) {
	i := core.Incarnation{Node: 7, Boot: 0x3f2a9c01}
	if dir := os.Getenv(markVariable); dir != "" { // the process that is killed
		f, err := mark(dir, i)
		fmt.Println("marked", err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = f.Close()
		return
	}
	dir := t.TempDir()
	if ended(dir, i) {
		t.Error("without a mark")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestMarkOfAProcess$")
	child.Env = append(os.Environ(), markVariable+"="+dir)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || said != "marked <nil>\n" {
		t.Fatalf("%q, %v", said, err)
	}
	if ended(dir, i) {
		t.Error("its process runs")
	}
	if _, err := mark(dir, i); err == nil {
		t.Error("two have one mark")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for range 2 { // to look is no sign of life
		if !ended(dir, i) {
			t.Error("its process was killed")
		}
	}
	for name, text := range map[string]string{"empty": "", "of another boot": "not the boot of this machine", "longer": string(make([]byte, 200))} {
		if err := os.WriteFile(markPath(dir, i), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if ended(dir, i) {
			t.Errorf("a mark that is %s", name)
		}
	}
}
