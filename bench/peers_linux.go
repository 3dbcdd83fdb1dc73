// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// party is the players: a Fleet, or a Remote where a library must.
type party interface {
	Open(limit time.Duration) error
	Play(d time.Duration)
	Reset()
	Result() (*chart.Histogram, load.Counts)
	Lateness() *load.Lateness
	Waiting() uint64
	Close()
}

// peer is a server and the load for it.
type peer struct {
	kind string
	load load.Config
}

// name tells two carriers of one server apart.
func (p peer) name(beside ...peer) string {
	for _, o := range beside {
		if o.kind == p.kind && o.load.Carrier != p.load.Carrier {
			return p.kind + " " + p.load.Carrier
		}
	}
	return p.kind
}

// other is a server that lifeline can be compared with.
type other struct {
	beside  []string // the carriers of lifeline with which it competes
	carrier string   // what its players speak
	dialect func(ask, answer int) load.Dialect
	built   string // the folder of bench that it is in, if it is a program of its own
	remote  bool   // and so are its players: there is no client but its library's
	answers bool   // it can answer with another size than it was asked with
}

var others = map[string]other{
	"kcp-go":     {beside: []string{"plain-kcp"}, carrier: "plain-kcp", answers: true},
	"udp":        {beside: []string{"plain-kcp"}, carrier: "udp"},
	"gnet-udp":   {beside: []string{"plain-kcp"}, carrier: "udp", built: goFolder},
	"zinx-kcp":   {beside: []string{"plain-kcp"}, carrier: "plain-kcp", dialect: zinx, built: goFolder},
	"raknet":     {beside: []string{"plain-kcp"}, carrier: "raknet", dialect: raknet, built: goFolder, remote: true},
	"quic-go":    {beside: []string{"plain-kcp", "kcp"}, carrier: "quic", built: goFolder, remote: true, answers: true},
	"enet":       {beside: []string{"plain-kcp"}, carrier: "enet", built: enetFolder, remote: true},
	"plain-kcp":  {beside: []string{"kcp"}},  // lifeline itself: what sealing costs
	"tcp":        {beside: []string{"stcp"}}, // the same
	"go-tcp":     {beside: []string{"plain-kcp", "tcp"}, carrier: "tcp", answers: true},
	"zinx-tcp":   {beside: []string{"tcp"}, carrier: "tcp", dialect: zinx, built: goFolder},
	"nano-tcp":   {beside: []string{"tcp"}, carrier: "tcp", dialect: nano, built: goFolder},
	"nano-ws":    {beside: []string{"ws"}, carrier: "ws", dialect: nano, built: goFolder},
	"gorilla-ws": {beside: []string{"ws"}, carrier: "ws", built: goFolder},
}

// The folders of what is built.
const (
	goFolder   = "peers"
	enetFolder = "peers/enet"
)

// zinx has the number of a message and its size in front of it.
func zinx(ask, answer int) load.Dialect {
	head := []byte{0, 0, 0, server.ZinxMessage}
	return load.Dialect{
		Ask:    binary.BigEndian.AppendUint32(slices.Clip(head), uint32(ask)),
		Answer: binary.BigEndian.AppendUint32(slices.Clip(head), uint32(answer)),
	}
}

// raknet keeps the numbers of messages below 0x80 to itself.
func raknet(int, int) load.Dialect { return load.Dialect{Ask: []byte{0xfe}, Answer: []byte{0xfe}} }

// nano speaks Pomelo's protocol: packets, and in those of data requests to a
// route and responses of the same number. The number is its client's choice,
// and here it is always 1.
func nano(ask, answer int) load.Dialect {
	const handshake, ack, data = 1, 2, 4
	const route = "bench.echo"
	return load.Dialect{
		Knock:   append(pomelo(handshake, "", 0), pomelo(ack, "", 0)...),
		Welcome: pomelo(handshake, `{"code":200,"sys":{"heartbeat":30}}`, 0),
		Ask:     pomelo(data, "\x00\x01"+string(rune(len(route)))+route, ask),
		Answer:  pomelo(data, "\x04\x01", answer),
	}
}

// pomelo is a packet of Pomelo's protocol, and the beginning of one with more bytes.
func pomelo(kind byte, body string, more int) []byte {
	n := len(body) + more
	return append([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

// named is one of -servers: lifeline/CARRIER, or another server.
func (o *options) named(name string) (peer, error) {
	p := peer{"lifeline", o.Config}
	carrier, ours := strings.CutPrefix(name, "lifeline/")
	if ours && slices.Contains(carriers, carrier) {
		p.load.Carrier = carrier
		return p, nil
	}
	if others[name].carrier == "" {
		return p, fmt.Errorf("-servers: there is no %q, but lifeline/CARRIER, %s", name, strings.Join(foreign(), ", "))
	}
	err := o.meet(&p, name)
	return p, err
}

// foreign lists the others that are not lifeline.
func foreign() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(others)) {
		if others[name].carrier != "" {
			names = append(names, name)
		}
	}
	return names
}

// beside lists the others by the carrier that they compete with.
func beside() string {
	var all []string
	for _, carrier := range carriers {
		all = append(all, strings.Join(competitors(carrier), ", ")+" ("+carrier+")")
	}
	return strings.Join(all, "; ")
}

func competitors(carrier string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(others)) {
		if slices.Contains(others[name].beside, carrier) {
			names = append(names, name)
		}
	}
	return names
}

// peers returns lifeline and the servers beside it.
func (o *options) peers() ([]peer, error) {
	all := []peer{{"lifeline", o.Config}}
	if o.versus == "" {
		return all, nil
	}
	known := competitors(o.Config.Carrier)
	names := known
	if o.versus != "all" {
		names = strings.Split(o.versus, ",")
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-versus %s: not with -carrier %s, but %s", name, o.Config.Carrier, strings.Join(known, ", "))
		}
		p := peer{"lifeline", o.Config}
		if slices.Contains(carriers, name) { // lifeline itself
			p.load.Carrier = name
		} else if err := o.meet(&p, name); errors.Is(err, errLeftOut) {
			fmt.Fprintln(o.log, "bench:", err)
			continue
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// meet makes p another server and what its players speak.
func (o *options) meet(p *peer, name string) error {
	other := others[name]
	p.kind, p.load.Carrier, p.load.Bare = name, other.carrier, true
	if other.dialect != nil {
		p.load.Dialect = other.dialect(o.Config.Size, max(o.Config.Size, o.Config.Answer))
	}
	return o.build(other.built)
}

// errLeftOut is why a server can't be had on this machine.
var errLeftOut = errors.New("left out")

// build builds a program that others need: bench/peers, which is a module of its own, or
// a folder of C in it.
func (o *options) build(folder string) error {
	if folder == "" || o.programs[folder] != "" {
		return nil
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/lifeline-go/lifeline").Output()
	if err != nil {
		return fmt.Errorf("where is the source? %w", err)
	}
	program := filepath.Join(os.TempDir(), fmt.Sprintf("lifeline-bench-%s-%d", filepath.Base(folder), os.Getpid()))
	cmd := exec.Command("go", "build", "-o", program, ".")
	if folder == enetFolder {
		if exec.Command("cc", "-E", "-include", "enet/enet.h", "-x", "c", os.DevNull).Run() != nil {
			return fmt.Errorf("%w: enet, as there is no C compiler with enet/enet.h: apt-get install gcc libenet-dev", errLeftOut)
		}
		cmd = exec.Command("cc", "-O2", "-o", program, "main.c", "server.c", "players.c", "-lenet", "-lpthread")
	}
	cmd.Dir = filepath.Join(strings.TrimSpace(string(out)), "bench", folder)
	cmd.Stderr = o.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", cmd.Dir, err)
	}
	if o.programs == nil {
		o.programs = map[string]string{}
	}
	o.programs[folder] = program
	return nil
}

// removeBuilt removes what build has built.
func (o *options) removeBuilt() {
	for _, program := range o.programs {
		_ = os.Remove(program)
	}
}
