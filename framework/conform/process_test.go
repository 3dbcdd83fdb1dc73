// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain makes a client under test of this program where LIFELINE_CONFORM
// says how it behaves.
func TestMain(m *testing.M) {
	switch how := os.Getenv("LIFELINE_CONFORM"); how {
	case "":
		os.Exit(m.Run())
	case "silent":
		time.Sleep(time.Minute)
	case "ends":
	case "endless":
		for {
			if _, err := fmt.Println("dial"); err != nil {
				os.Exit(1)
			}
		}
	default:
		serve(how)
	}
}

// serve is goPlayer as a program: fine, or with the planted fault of a name.
func serve(fault string) {
	p := new(goPlayer)
	for _, f := range planted {
		if f.name == fault {
			p.fault = f.fault
		}
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var lines []string
		var err error
		if name, ok := strings.CutPrefix(in.Text(), "script "); ok {
			err = p.begin(name)
		} else {
			lines, err = p.do(in.Text())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, l := range lines {
			fmt.Println(l)
		}
		fmt.Println(full)
	}
}

func TestExitTellsWhatHappened(t *testing.T) {
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		how, only string
		want      int
	}{
		{"fine", "", exitFine},
		{"fine", "gap,no-such-script", exitUsage},
		{"does not echo", "heartbeat", exitDifference},
		{"silent", "", exitBroken},
		{"ends", "", exitBroken},
		{"endless", "", exitBroken},
	} {
		t.Run(c.how+" "+c.only, func(t *testing.T) {
			t.Setenv("LIFELINE_CONFORM", c.how)
			patience := "10s"
			if c.how == "silent" {
				patience = "50ms"
			}
			got := run([]string{"core", "-scripts", scriptsDir, "-only", c.only, "-patience", patience, "--", me})
			if got != c.want {
				t.Fatalf("exit status %d, want %d", got, c.want)
			}
		})
	}
	for _, args := range [][]string{nil, {"walk"}, {"core"}, {"core", "-no-such-flag"}, {"core", "-scripts", "nowhere", "--", "true"}} {
		if got := run(args); got != exitUsage {
			t.Errorf("%q: exit status %d", args, got)
		}
	}
	if got := run([]string{"core", "-scripts", scriptsDir, "--", "/no/such/program"}); got != exitBroken {
		t.Errorf("a program that is not there: exit status %d", got)
	}
}
