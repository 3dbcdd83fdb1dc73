// SPDX-License-Identifier: MIT

//go:build unix

package transport

import (
	"os"
	"syscall"
)

// ownFile reports whether a file belongs to the user that this process runs as.
func ownFile(info os.FileInfo) (mine, known bool) {
	st, known := info.Sys().(*syscall.Stat_t)
	return known && int(st.Uid) == os.Getuid(), known
}
