// SPDX-License-Identifier: MIT

package match

import "time"

func clock() time.Time { return time.Now() }
