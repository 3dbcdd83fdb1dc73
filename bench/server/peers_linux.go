// SPDX-License-Identifier: MIT

package server

import (
	"io"
	"net"
	"net/netip"
	"unsafe"

	kcp "github.com/xtaci/kcp-go/v5"
	"golang.org/x/sys/unix"

	"github.com/lifeline-go/lifeline/bench/load"
)

// startKCPGo is kcp-go's own listener as its documentation has it: the usual
// fast settings, no encryption, no error correction, a goroutine a session.
func startKCPGo(o *Options) (*service, error) {
	l, err := kcp.ListenWithOptions(o.AnyPort(), nil, 0, 0)
	if err != nil {
		return nil, err
	}
	// Refused where the system allows less; then it has what it allows.
	_ = l.SetReadBuffer(4 << 20)
	_ = l.SetWriteBuffer(4 << 20)
	go func() { // ends when the listener is closed
		for {
			s, err := l.AcceptKCP()
			if err != nil {
				return
			}
			s.SetNoDelay(1, 10, 2, 1)
			s.SetWindowSize(128, 128)
			//lint:ignore SA1019 there is no other way to have it
			s.SetStreamMode(true)
			s.SetWriteDelay(false)
			s.SetACKNoDelay(true)
			go o.Echo(s)
		}
	}()
	addr := l.Addr().(*net.UDPAddr).AddrPort()
	return &service{addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), stop: func() { _ = l.Close() }}, nil
}

// startGoTCP is package net as everybody uses it: a goroutine a connection.
func startGoTCP(o *Options) (*service, error) {
	l, err := net.Listen("tcp4", o.AnyPort())
	if err != nil {
		return nil, err
	}
	go func() { // ends when the listener is closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go o.Echo(c)
		}
	}()
	return &service{addr: l.Addr().(*net.TCPAddr).AddrPort(), stop: func() { _ = l.Close() }}, nil
}

// Echo answers what comes on one connection. It ends when that does, or with the
// process.
func (o *Options) Echo(c io.ReadWriteCloser) {
	defer c.Close()
	if o.Answer > 0 {
		o.answer(c)
		return
	}
	b := make([]byte, 2048)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// answer is Echo with answers of another size.
func (o *Options) answer(c io.ReadWriter) {
	b := make([]byte, o.Answer)
	load.Fill(b)
	for {
		if _, err := io.ReadFull(c, b[:o.Ask]); err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

const (
	batch     = 64
	datagrams = 2048
)

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// startUDP echoes datagrams in batches and does nothing else: the least that a
// server in Go can do on one core.
func startUDP(*Options) (*service, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for _, o := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 8<<20) // as transport asks for
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	go mirror(fd) // ends with the process
	in4 := at.(*unix.SockaddrInet4)
	return &service{addr: netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)), stop: func() {}}, nil
}

// mirror sends every datagram back. A datagram keeps its slot, and its sender
// is the name to send to.
func mirror(fd int) {
	var (
		msgs  [batch]mmsghdr
		iovs  [batch]unix.Iovec
		names [batch]unix.RawSockaddrInet4
		buf   [batch * datagrams]byte
	)
	for i := range msgs {
		iovs[i].Base = &buf[i*datagrams]
		msgs[i].hdr.Iov = &iovs[i]
		msgs[i].hdr.SetIovlen(1)
		msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&names[i]))
	}
	for {
		for i := range msgs {
			msgs[i].hdr.Namelen = unix.SizeofSockaddrInet4
			iovs[i].SetLen(datagrams)
		}
		// Waits for the first and takes what is there.
		n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		if e != 0 {
			continue
		}
		for i := range int(n) {
			iovs[i].SetLen(int(msgs[i].n))
		}
		for sent := uintptr(0); sent < n; {
			k, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[sent])), n-sent, 0, 0, 0)
			if e != 0 {
				k = 1 // it concerns the first
			}
			sent += k
		}
	}
}
