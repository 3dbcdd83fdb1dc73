// SPDX-License-Identifier: MIT

//go:build !linux

package transport

import (
	"errors"
	"net"
)

// fileLimit: unknown. Servers run on Linux.
func fileLimit() (int, error) { return 0, nil }

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
