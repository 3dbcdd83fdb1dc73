// SPDX-License-Identifier: MIT

package cluster_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Servers in network namespaces, each with an address of its own, whose ways to each other
// can be cut one by one and in one direction.

// place is a network namespace, or with an empty name the test's own.
type place struct{ name, addr string }

// networks are namespaces on one bridge. It needs root, and leaves nothing behind.
type networks struct {
	t      *testing.T
	places []place // the directory, then the servers
	home   place   // of the players
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %q: %w: %s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

// newNetworks makes n namespaces.
func newNetworks(t *testing.T, n, subnet int) *networks {
	t.Helper()
	addr := func(i int) string { return fmt.Sprintf("10.231.%d.%d", subnet, i) }
	tag := fmt.Sprint("ll", os.Getpid()%100_000, "x", subnet)
	nw := &networks{t: t, home: place{"", addr(254)}}
	must := func(args ...string) {
		t.Helper()
		if err := ip(args...); err != nil {
			t.Fatal(err)
		}
	}
	bridge := tag + "b"
	if err := ip("link", "add", bridge, "type", "bridge"); err != nil {
		t.Skip("no network of our own here: ", err)
	}
	t.Cleanup(func() { _ = ip("link", "del", bridge) })
	must("addr", "add", addr(254)+"/24", "dev", bridge)
	must("link", "set", bridge, "up")
	for i := range n {
		p := place{fmt.Sprint(tag, "n", i), addr(i + 1)}
		out, in := fmt.Sprint(tag, "v", i), "eth0"
		must("netns", "add", p.name)
		t.Cleanup(func() { _ = ip("netns", "del", p.name) })
		must("link", "add", out, "type", "veth", "peer", "name", in, "netns", p.name)
		must("link", "set", out, "master", bridge, "up")
		must("-n", p.name, "addr", "add", p.addr+"/24", "dev", in)
		must("-n", p.name, "link", "set", in, "up")
		must("-n", p.name, "link", "set", "lo", "up")
		nw.places = append(nw.places, p)
	}
	return nw
}

// cut lets nothing go from one place to another, as if it was lost, until heal.
func (nw *networks) cut(from, to place) { nw.route("add", from, to) }

func (nw *networks) heal(from, to place) { nw.route("del", from, to) }

func (nw *networks) route(do string, from, to place) {
	nw.t.Helper()
	args := []string{"route", do, "blackhole", to.addr + "/32"}
	if from.name != "" {
		args = append([]string{"-n", from.name}, args...)
	}
	if err := ip(args...); err != nil {
		nw.t.Fatal(err)
	}
}

// apart cuts both directions for d.
func (nw *networks) apart(a, b place, d time.Duration) {
	nw.cut(a, b)
	nw.cut(b, a)
	time.Sleep(d)
	nw.heal(a, b)
	nw.heal(b, a)
}

// oneWay cuts one direction for d.
func (nw *networks) oneWay(from, to place, d time.Duration) {
	nw.cut(from, to)
	time.Sleep(d)
	nw.heal(from, to)
}

// makeCert writes a certificate for all the places, and its key, into one file.
func (nw *networks) makeCert(path string) {
	nw.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		nw.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cluster"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, p := range nw.places {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(p.addr))
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		nw.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		nw.t.Fatal(err)
	}
	b := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		nw.t.Fatal(err)
	}
}

// loadCert reads what makeCert wrote.
func loadCert(path string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(path, path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}

// newFarTroupe is newTroupe with each process in a namespace of its own.
func newFarTroupe(t *testing.T, subnet, players int) (*troupe, *networks) {
	nw := newNetworks(t, 4, subnet)
	tr := &troupe{t: t, folder: t.TempDir(), over: make(chan struct{})}
	cert := filepath.Join(tr.folder, "cert.pem")
	nw.makeCert(cert)
	at := nw.places[0].addr + ":4222"
	tr.directory = tr.start(role{NATS: at, Dir: filepath.Join(tr.folder, "directory"), Cert: cert}, nw.places[0].name)
	for i, p := range nw.places[1:] {
		r := tr.server(i, at, p.addr+":7778")
		r.Cert = cert
		tr.servers = append(tr.servers, tr.start(r, p.name))
	}
	tr.talk(players)
	time.Sleep(2 * time.Second)
	return tr, nw
}

// TestProcessesCutOff cuts servers off, from the directory and from their players.
func TestProcessesCutOff(t *testing.T) {
	if !*allProcesses {
		t.Skip("-cluster.processes is not set")
	}
	for i, c := range []struct {
		name           string
		cut            func(nw *networks, directory, server place)
		resets, logins uint64
	}{
		{"a server can't send to the directory for 10 s", func(nw *networks, d, s place) { nw.oneWay(s, d, 10*time.Second) }, 0, 0},
		{"the directory can't send to a server for 10 s", func(nw *networks, d, s place) { nw.oneWay(d, s, 10*time.Second) }, 0, 0},
		{"a server can't send to the directory for 40 s", func(nw *networks, d, s place) { nw.oneWay(s, d, 40*time.Second) }, 4, 4},
		{"the directory can't send to a server for 40 s", func(nw *networks, d, s place) { nw.oneWay(d, s, 40*time.Second) }, 4, 4},
		{"a server and the directory are apart for 40 s", func(nw *networks, d, s place) { nw.apart(s, d, 40*time.Second) }, 4, 4},
		{"a server and the players are apart for 40 s", func(nw *networks, _, s place) { nw.apart(s, nw.home, 40*time.Second) }, 0, 0},
		{"a server can't send to the players for 40 s", func(nw *networks, _, s place) { nw.oneWay(s, nw.home, 40*time.Second) }, 0, 0},
		{"the players can't send to a server for 40 s", func(nw *networks, _, s place) { nw.oneWay(nw.home, s, 40*time.Second) }, 0, 0},
		{"all servers and the directory are apart for 30 s", func(nw *networks, d, _ place) {
			for _, s := range nw.places[1:] {
				nw.cut(s, d)
			}
			time.Sleep(30 * time.Second)
			for _, s := range nw.places[1:] {
				nw.heal(s, d)
			}
		}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tr, nw := newFarTroupe(t, i+1, 12)
			c.cut(nw, nw.places[0], nw.places[1])
			time.Sleep(10 * time.Second)
			tr.judge(c.resets, c.logins)
		})
	}
}
