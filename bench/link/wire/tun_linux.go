// SPDX-License-Identifier: MIT

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lifeline-go/lifeline/bench/link/path"
)

// What a Tun connects. A server listens on Server; clients dial Far with its
// port, and the server sees them come from another address than their own.
// Both ends are in one namespace, so that one process tree holds all. The sums
// of the addresses are alike, and so are the packets' checksums.
var (
	near   = netip.MustParseAddr("10.77.0.1") // clients have it
	seen   = netip.MustParseAddr("10.77.0.2") // and are seen as this
	Server = netip.MustParseAddr("10.77.0.3")
	Far    = netip.MustParseAddr("10.77.0.4")
)

// Tun is a network device whose other end is a path each way: whatever runs
// over IPv4 and goes to Far is delayed, lost and reordered by it.
type Tun struct {
	f        *os.File
	up, down *line
	running  sync.WaitGroup
}

// OpenTun makes the device in the network namespace of the caller's process,
// which ought to be one of its own: see Namespace. It also raises the loopback.
func OpenTun(up, down path.Config) (*Tun, error) {
	if err := errors.Join(up.Check(), down.Check()); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("wire: /dev/net/tun: %w", err)
	}
	if err := configure(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	t := &Tun{f: os.NewFile(uintptr(fd), "tun"), up: newLine(up), down: newLine(down)}
	t.running.Add(3)
	go func() { defer t.running.Done(); t.up.run() }()   // until Close
	go func() { defer t.running.Done(); t.down.run() }() // until Close
	go t.read()                                          // until the file is closed
	return t, nil
}

// Set changes what happens to packets from now on.
func (t *Tun) Set(up, down path.Config) {
	t.up.set(up)
	t.down.set(down)
}

// Traffic is what entered a direction.
type Traffic struct{ Packets, Bytes uint64 }

// Traffic returns what was sent each way since the last Set, with the headers
// of IP.
func (t *Tun) Traffic() (up, down Traffic) { return t.up.traffic(), t.down.traffic() }

func (l *line) traffic() Traffic {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Traffic{l.p.Taken, l.p.Bytes}
}

// Close takes the device away.
func (t *Tun) Close() error {
	err := t.f.Close()
	t.up.close()
	t.down.close()
	t.running.Wait()
	return err
}

func configure(fd int) error {
	const name = "link0"
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
		return fmt.Errorf("wire: make %s: %w", name, err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	for _, a := range []struct {
		name string
		addr netip.Addr
	}{{name, near}, {name + ":1", Server}} {
		if err := address(s, a.name, a.addr); err != nil {
			return fmt.Errorf("wire: %s of %s: %w", a.addr, a.name, err)
		}
	}
	return errors.Join(raise(s, name), raise(s, "lo"))
}

func address(s int, name string, a netip.Addr) error {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		request int
		addr    [4]byte
	}{{unix.SIOCSIFADDR, a.As4()}, {unix.SIOCSIFNETMASK, [4]byte{255, 255, 255, 0}}} {
		if err := r.SetInet4Addr(v.addr[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, uint(v.request), r); err != nil {
			return err
		}
	}
	return nil
}

func raise(s int, name string) error {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, r); err != nil {
		return err
	}
	r.SetUint16(r.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// read takes what the system sends into the device and gives it back with the
// addresses of the other end.
func (t *Tun) read() {
	defer t.running.Done()
	b := make([]byte, 64<<10)
	deliver := func(b []byte) { _, _ = t.f.Write(b) }
	for {
		n, err := t.f.Read(b)
		if err != nil {
			return
		}
		p := b[:n]
		if n < 20 || p[0]>>4 != 4 {
			continue // IPv6 has nobody there
		}
		src, dst := [4]byte(p[12:16]), [4]byte(p[16:20])
		switch {
		case src == near.As4() && dst == Far.As4():
			move(p, seen, Server)
			t.up.send(p, deliver)
		case src == Server.As4() && dst == seen.As4():
			move(p, Far, near)
			t.down.send(p, deliver)
		}
	}
}

func move(p []byte, src, dst netip.Addr) {
	s, d := src.As4(), dst.As4()
	binary.BigEndian.PutUint32(p[12:], binary.BigEndian.Uint32(s[:]))
	binary.BigEndian.PutUint32(p[16:], binary.BigEndian.Uint32(d[:]))
}
