// SPDX-License-Identifier: MIT

package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// testCA is an authority of these tests alone.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

// theCA is made once; its servers are "game.example" and the loopback.
var theCA = sync.OnceValue(func() *testCA {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	// Also at the time of synctest, which is the year 2000.
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	ca := &testCA{key: key, pool: x509.NewCertPool()}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	ca.pool.AddCert(ca.cert)
	return ca
})

// issue makes a certificate for names, and returns it and its key in PEM.
func (ca *testCA) issue(serial int64, names ...string) (cert, key []byte) {
	return ca.issueFor(time.Unix(0, 0), time.Unix(1<<32, 0), serial, names...)
}

// issueFor is issue for a certificate that is valid from a time to another.
func (ca *testCA) issueFor(from, to time.Time, serial int64, names ...string) (cert, key []byte) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &own.PublicKey, ca.key)
	if err != nil {
		panic(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})
}

// serverTLS is what a server needs for TLS, with a certificate of theCA.
var serverTLS = sync.OnceValue(func() *tls.Config {
	cert, err := tls.X509KeyPair(theCA().issue(2, "game.example"))
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
})

// clientTLS is what a client needs that trusts theCA.
func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: theCA().pool, ServerName: "game.example"}
}

// writeCert writes a certificate and its key where a server reads them.
func writeCert(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	cert, key := theCA().issue(serial, "game.example")
	writePair(t, certFile, keyFile, cert, key)
}

func writePair(t *testing.T, certFile, keyFile string, cert, key []byte) {
	t.Helper()
	for path, b := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
