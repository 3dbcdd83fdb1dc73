// SPDX-License-Identifier: MIT

package framework_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// TestMain fails when goroutines are left behind. kcp-go starts some at import,
// so they are counted first; the workers of gnet's pool end by themselves after
// some idle seconds and do not count.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for i := 0; code == 0 && runtime.NumGoroutine()-poolWorkers() > before; i++ {
		if i == 400 {
			fmt.Printf("%d goroutines before, %d after:\n", before, runtime.NumGoroutine())
			_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			code = 1
		}
		time.Sleep(50 * time.Millisecond)
	}
	os.Exit(code)
}

func poolWorkers() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "ants/v2.(*goWorker)")
}
