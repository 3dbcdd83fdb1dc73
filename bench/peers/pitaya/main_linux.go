// SPDX-License-Identifier: MIT

// Command pitaya is the processes of a cluster of pitaya's that bench compares lifeline's
// with: a frontend, which has the players, and a backend, which sends to them. What they need
// stays out of the product's go.mod, and as that is a lot, out of that of the other peers too.
// Bench builds and starts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	pitaya "github.com/topfreegames/pitaya/v3/pkg"
	"github.com/topfreegames/pitaya/v3/pkg/acceptor"
	"github.com/topfreegames/pitaya/v3/pkg/cluster"
	"github.com/topfreegames/pitaya/v3/pkg/component"
	"github.com/topfreegames/pitaya/v3/pkg/config"
	"github.com/topfreegames/pitaya/v3/pkg/conn/codec"
	"github.com/topfreegames/pitaya/v3/pkg/conn/message"
	"github.com/topfreegames/pitaya/v3/pkg/groups"
	"github.com/topfreegames/pitaya/v3/pkg/logger"
	logruswrapper "github.com/topfreegames/pitaya/v3/pkg/logger/logrus"
	"github.com/topfreegames/pitaya/v3/pkg/pipeline"
	"github.com/topfreegames/pitaya/v3/pkg/router"
	"github.com/topfreegames/pitaya/v3/pkg/serialize/json"
	"github.com/topfreegames/pitaya/v3/pkg/session"
	"github.com/topfreegames/pitaya/v3/pkg/worker"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
)

func main() {
	err := errors.New("bench starts it, see ../../README.md")
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		err = server.Main(os.Args[2:], map[string]server.Starter{"pitaya-frontend": frontend, "pitaya-backend": backend})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pitaya:", err)
		os.Exit(1)
	}
}

// Entry makes users of players, in the order in which they come.
type Entry struct {
	component.Base
	app  pitaya.Pitaya
	next atomic.Int64
}

// Enter is the handler of "frontend.entry.enter": it binds the session to the next user.
func (e *Entry) Enter(ctx context.Context) ([]byte, error) {
	user := load.UserName(int(e.next.Add(1) - 1))
	if err := e.app.GetSessionFromCtx(ctx).Bind(ctx, user); err != nil {
		return nil, err
	}
	return []byte("ok"), nil
}

// alone is a service discovery that finds no server. Pushes need none: they go to a subject of
// the user.
type alone struct{ component.Base }

func (alone) Init() error                                                 { return nil }
func (alone) Shutdown() error                                             { return nil }
func (alone) BeforeShutdown()                                             {}
func (alone) AfterInit()                                                  {}
func (alone) GetServersByType(string) (map[string]*cluster.Server, error) { return nil, nil }
func (alone) GetServer(id string) (*cluster.Server, error)                { return nil, errors.New("no server " + id) }
func (alone) GetServers() []*cluster.Server                               { return nil }
func (alone) SyncServers(bool) error                                      { return nil }
func (alone) AddListener(cluster.SDListener)                              {}

// build makes an app as pitaya's builder does, but for the service discovery, and without
// what would be heard of beside messages: compression, and heartbeats.
func build(kind string, o *server.Options) (*pitaya.Builder, error) {
	quiet := logrus.New()
	quiet.SetLevel(logrus.WarnLevel)
	logger.SetLogger(logruswrapper.NewWithLogger(quiet))
	c := config.NewDefaultPitayaConfig()
	c.Heartbeat.Interval = 10 * time.Minute
	c.Handler.Messages.Compression = false
	nats := "nats://" + o.Cluster
	c.Cluster.RPC.Server.Nats.Connect, c.Cluster.RPC.Client.Nats.Connect = nats, nats
	self, die, pool := cluster.NewServer(kind, kind, kind == "frontend"), make(chan bool), session.NewSessionPool()
	rpcServer, err := cluster.NewNatsRPCServer(c.Cluster.RPC.Server.Nats, self, nil, die, pool)
	if err != nil {
		return nil, err
	}
	rpcClient, err := cluster.NewNatsRPCClient(c.Cluster.RPC.Client.Nats, self, nil, die)
	if err != nil {
		return nil, err
	}
	w, err := worker.NewWorker(c.Worker, c.Worker.Retry)
	if err != nil {
		return nil, err
	}
	return &pitaya.Builder{
		Config: *c, DieChan: die, PacketDecoder: codec.NewPomeloPacketDecoder(), PacketEncoder: codec.NewPomeloPacketEncoder(),
		MessageEncoder: message.NewMessagesEncoder(false), Serializer: json.NewSerializer(), Router: router.New(),
		RPCClient: rpcClient, RPCServer: rpcServer, Server: self, ServerMode: pitaya.Cluster, Groups: groups.NewMemoryGroupService(c.Groups.Memory),
		RemoteHooks: pipeline.NewRemoteHooks(), HandlerHooks: pipeline.NewHandlerHooks(), ServiceDiscovery: alone{}, SessionPool: pool, Worker: w,
	}, nil
}

// frontend has the players.
func frontend(o *server.Options) (netip.AddrPort, func(), error) {
	addr, err := netip.ParseAddrPort(o.Listen)
	if err != nil {
		return addr, nil, err
	}
	b, err := build("frontend", o)
	if err != nil {
		return addr, nil, err
	}
	b.AddAcceptor(acceptor.NewTCPAcceptor(o.Listen))
	app := b.Build()
	app.Register(&Entry{app: app}, component.WithName("entry"), component.WithNameFunc(strings.ToLower))
	go app.Start() // ends with the process
	for range 100 {
		c, err := net.Dial("tcp4", o.Listen)
		if err == nil {
			return addr, func() {}, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return addr, nil, errors.New("it does not listen")
}

// backend sends to users by their names.
func backend(o *server.Options) (netip.AddrPort, func(), error) {
	b, err := build("backend", o)
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	app := b.Build()
	go app.Start() // ends with the process
	o.SendBy(func(user int, m load.Push) error {
		_, err := app.SendPushToUsers("push", load.AppendBarePush(nil, user, m), []string{load.UserName(user)}, "frontend")
		return err
	})
	return netip.AddrPort{}, func() {}, nil
}
