// SPDX-License-Identifier: MIT

//go:build !linux

package poll

import (
	"errors"
	"net"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// fileLimit: unknown. Servers run on Linux.
func fileLimit() (limit, reserve int, err error) { return 0, 0, nil }

// kernelRTT: unknown, likewise.
func kernelRTT(gnet.Conn) time.Duration { return 0 }

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
