// SPDX-License-Identifier: MIT

package poll

import (
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// kernelRTT is what the kernel has measured by its acknowledgements.
func kernelRTT(c gnet.Conn) time.Duration {
	info, err := unix.GetsockoptTCPInfo(c.Fd(), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0 // the connection has just ended
	}
	return time.Duration(info.Rtt) * time.Microsecond
}
