// SPDX-License-Identifier: MIT

package swarm_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client/swarm"
)

// Twenty bots play for a moment, and the report says whether the limits held.
func ExampleRun() {
	srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	framework.OnRequest(srv, "add", func(_ *framework.Player, n [2]int) (int, error) { return n[0] + n[1], nil })
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	defer srv.Shutdown(context.Background())

	report, err := swarm.Run(context.Background(), swarm.Config{
		Addrs: []string{"tcp://" + srv.Addr(framework.TCP).String()}, Bots: 20, Duration: 200 * time.Millisecond,
		Limits: []string{"failed = 0", "add errors = 0", "add count >= 20", "sums > 0"},
	}, func(ctx context.Context, b *swarm.Bot) error {
		if err := b.Connect(ctx); err != nil {
			return err
		}
		for n := 0; ; n++ {
			var sum int
			if err := b.Request(ctx, "add", [2]int{n, 1}, &sum); err != nil {
				return err
			}
			if sum == n+1 {
				b.Count("sums", 1)
			}
			if !b.Think(ctx, 20*time.Millisecond) {
				return nil
			}
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Good())
	// Output: true
}
