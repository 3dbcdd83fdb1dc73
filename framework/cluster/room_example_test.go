// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

// boss is a room with a monster.
type boss struct {
	*framework.Room
	health int
}

// startBosses starts a server with such rooms, which others may call.
func startBosses(bus *cluster.Memory) (*framework.Server, *cluster.Cluster, *framework.Rooms[*boss]) {
	c, err := cluster.New(cluster.Config{Bus: bus})
	if err != nil {
		panic(err)
	}
	srv, err := framework.New(framework.Config{Cluster: c, Secret: framework.Secret{1}, Authenticate: anyone, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	rooms := framework.AddRoom(srv, "boss", func(r *framework.Room) *boss { return &boss{r, 100} })
	cluster.HandleRoom(c, rooms, "boss.hurt", func(b *boss, _ cluster.Member, points int) (int, error) {
		b.health -= points // on the room's goroutine
		return b.health, nil
	})
	if err := srv.Start(); err != nil {
		panic(err)
	}
	return srv, c, rooms
}

func anyone(_ context.Context, l framework.Login) (framework.Identity, error) {
	return framework.Identity{User: string(l.Ticket)}, nil
}

// One server opens a room, another one calls it, and keeps a seat in it.
func ExampleRoomOf() {
	ctx := context.Background()
	bus := new(cluster.Memory) // with servers on many machines that of package cluster/nats
	one, _, rooms := startBosses(bus)
	two, c, others := startBosses(bus)
	defer func() {
		_ = one.Shutdown(ctx)
		_ = two.Shutdown(ctx)
	}()
	key, err := rooms.Open(ctx, struct{}{})
	if err != nil {
		panic(err)
	}

	health, err := cluster.Call[int](ctx, c, cluster.RoomOf("boss", key), "boss.hurt", 30)
	fmt.Println(health, err)
	fmt.Println(others.Reserve(ctx, key, "ann")) // ann may join it from any server
	_, err = cluster.Call[int](ctx, c, cluster.RoomOf("boss", "dragon"), "boss.hurt", 30)
	fmt.Println(errors.Is(err, cluster.ErrNoRoom))
	// Output:
	// 70 <nil>
	// <nil>
	// true
}
