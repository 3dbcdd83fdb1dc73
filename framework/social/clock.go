// SPDX-License-Identifier: MIT

package social

import "time"

func clock() time.Time { return time.Now() }
