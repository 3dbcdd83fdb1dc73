// SPDX-License-Identifier: MIT

// Package swarm plays a game with thousands of bots in one process, over every carrier, and tells
// what that was like: latency by request, what was lost, how links came back, and whether the limits
// were kept that a release must keep.
//
// A studio writes one bot and hands it to Main, which makes a command of it:
//
//	func play(ctx context.Context, b *swarm.Bot) error {
//		client.OnMessage(b.Client, "state", func(State) {})
//		if err := b.Connect(ctx); err != nil {
//			return err
//		}
//		if err := b.Join(ctx, "arena", ""); err != nil {
//			return err
//		}
//		for b.Think(ctx, time.Second) {
//			if err := b.Request(ctx, "move", Move{1, 2}, nil); err != nil {
//				return err
//			}
//		}
//		return nil
//	}
//
//	func main() { swarm.Main(swarm.Config{}, play) }
//
//	go run ./mybot -addr kcp://game.example:7777 -key llp1... -n 10000 -cut 30s \
//		-limit "move p99 < 50ms" -limit "resets = 0" -report load.html
//
// A bot is a whole client with a goroutine of its own: some 55 KB on any carrier. Latency is what a
// player sees: a bot asks for one thing at a time, and its requests live through cut links.
//
// A server lets 1,000 links of one address in at once and then 100 a second: OpensPerAddress of
// framework.Config. Bots of the server's own machine are not counted. On another machine, those
// beyond the bound wait, and the server's log says so.
package swarm
