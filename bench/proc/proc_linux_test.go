// SPDX-License-Identifier: MIT

package proc

import (
	"os"
	"testing"
	"time"
)

func TestThisProcessCostsSomething(t *testing.T) {
	machine, err := Now()
	if err != nil {
		t.Fatal(err)
	}
	from, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
	}
	to, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if to <= from {
		t.Errorf("50 ms of work took %v", to-from)
	}
	rough, err := ticks(os.Getpid())
	if err != nil || (rough-to).Abs() > time.Second {
		t.Errorf("stat says %v, %v; schedstat %v", rough, err, to)
	}
	if rss, err := RSS(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("memory %d, %v", rss, err)
	}
	later, err := Now()
	if d := later.Since(machine); err != nil || d.Total <= 0 || d.Busy+d.Steal > d.Total {
		t.Errorf("the machine's times are %+v, %v", d, err)
	}
	if n, err := Cores(); err != nil || n < 1 {
		t.Errorf("%d cores, %v", n, err)
	}
}
