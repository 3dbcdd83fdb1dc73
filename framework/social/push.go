// SPDX-License-Identifier: MIT

package social

import (
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/putoff"
)

// push tells a player, in the order in which things change: mu is held. What the server
// calls for it of the game's code is put off.
func push(mu *putoff.Mutex, p *framework.Player, route string, v any) {
	then, _ := p.PushThen(route, v)
	mu.Then(then)
}
