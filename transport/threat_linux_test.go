// SPDX-License-Identifier: MIT

package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
	"golang.org/x/sys/unix"
)

// namespaceEnv tells the test binary that it has a network of its own.
const namespaceEnv = "LIFELINE_TEST_NAMESPACE"

// T21: forged ICMP says that the path carries 552 bytes, and then it really
// carries less than before: traffic goes on, and only the second is believed.
// It needs a network of its own, where it may break something.
func TestThreatForgedTooBig(t *testing.T) {
	if os.Getenv(namespaceEnv) == "" {
		inNamespace(t)
		return
	}
	loopback(t, "up", "mtu", "1500")
	h := &hooks{packet: func(k *Link, p codec.Packet) {
		if p.Kind == codec.Message {
			k.Write(frame(make([]byte, 20_000)))
		}
	}}
	w := &world{carrier: KCP}
	tr := w.start(t, Config{Loops: 1}, h)
	c := w.dial(t, tr)
	c.write(beat)
	ask := func() {
		c.write(frame([]byte("more")))
		if p := c.read(); len(p.Body) != 20_000 {
			t.Fatalf("%d bytes", len(p.Body))
		}
	}
	asks := func(n int) {
		for range n {
			ask()
		}
	}
	asks(5)
	// wide makes the server use the largest size, as if it had found it, and
	// sends one datagram of that.
	wide := func() {
		c.sealed.look(func() { c.sealed.largest = 0 })
		onLoop(t, tr.Loops()[0], func() {
			l := tr.loops[0]
			k := sealedLinksOf(l)[0]
			k.setMTU(len(datagramSizes) - 1)
			k.needTransient().mtu = mtuSearch{at: l.now + mtuSearchAgain, step: uint8(len(datagramSizes)), seen: k.kcp.Retransmits()}
			k.sendControl(path{k.addr, k.local}, seal.Control{Kind: seal.ControlChallenge}, backend.SlotSize-seal.Overhead)
		})
	}
	whole := func() (came bool) {
		c.sealed.look(func() { came = c.sealed.largest == backend.SlotSize })
		return came
	}

	_, port, _ := net.SplitHostPort(c.sealed.LocalAddr().String())
	server, player := tr.Addr(KCP), netip.MustParseAddrPort("127.0.0.1:"+port)
	victim := believer(t)
	for range 20 {
		tooBig(t, server, player)
		tooBig(t, victim.LocalAddr().(*net.UDPAddr).AddrPort(), player)
		asks(1)
	}
	if _, err := victim.WriteToUDPAddrPort(make([]byte, 1400), player); err == nil {
		t.Error("not even a socket that believes ICMP is taken in: this shows nothing")
	}
	_ = victim.Close()
	eventually(t, "a large datagram comes", func() bool { wide(); asks(1); return whole() })
	if n := tr.Stats().SendFailed; n != 0 {
		t.Errorf("%d datagrams were refused", n)
	}

	loopback(t, "mtu", "1280")
	wide()
	asks(10)
	if s := tr.Stats(); s.SendFailed == 0 || whole() {
		t.Error("the path has not become narrower")
	}
	if s := tr.Stats(); h.closed.Load() != 0 || s.Carriers["kcp"].Opened != 1 {
		t.Errorf("%+v", s.Carriers)
	}
}

// inNamespace runs the test in a network of its own.
func inNamespace(t *testing.T) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch said := string(out); {
	case !strings.Contains(said, "=== RUN") || strings.Contains(said, "--- SKIP"):
		t.Skipf("no network namespace here: %v %s", err, said)
	case err != nil:
		t.Fatalf("%v\n%s", err, said)
	default:
		t.Log(said)
	}
}

func loopback(t *testing.T, what ...string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"link", "set", "lo"}, what...)...).CombinedOutput(); err != nil {
		t.Skipf("ip: %v %s", err, out)
	}
}

// believer is a socket that takes ICMP's word, to show that the forgery is good.
func believer(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tooBig sends from's host an ICMP message, as if of a router, that its
// datagrams to that address are too big.
func tooBig(t *testing.T, from, to netip.AddrPort) {
	t.Helper()
	quoted := []byte{0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0}
	binary.BigEndian.PutUint16(quoted[2:], 28+1400)
	quoted = append(quoted, from.Addr().Unmap().AsSlice()...)
	quoted = append(quoted, to.Addr().Unmap().AsSlice()...)
	binary.BigEndian.PutUint16(quoted[10:], checksum(quoted))
	quoted = binary.BigEndian.AppendUint16(quoted, from.Port())
	quoted = binary.BigEndian.AppendUint16(quoted, to.Port())
	quoted = binary.BigEndian.AppendUint16(quoted, 8+1400)
	quoted = append(quoted, 0, 0)
	b := append([]byte{3, 4, 0, 0, 0, 0, 0x02, 0x28}, quoted...) // 552
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	if err != nil {
		t.Skip("no raw socket here:", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: from.Addr().Unmap().As4()}); err != nil {
		t.Fatal(err)
	}
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
