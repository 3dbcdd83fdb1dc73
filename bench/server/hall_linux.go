// SPDX-License-Identifier: MIT

package server

import "github.com/lifeline-go/lifeline/framework"

// HallType is the type of rooms that players enter by keys.
const HallType = "hall"

// hall is a room that players come to and leave.
type hall struct{ *framework.Room }
