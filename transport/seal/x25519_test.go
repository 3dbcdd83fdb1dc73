// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// Public keys and shared secrets are the same as the standard library's, also for public
// keys that no scalar made. What it refuses is refused.
func TestX25519IsThatOfTheStandardLibrary(t *testing.T) {
	var seed [32]byte
	random := rand.NewChaCha8(seed)
	publics := [][32]byte{{}, {1}} // of low order
	for _, last := range []byte{0x7f, 0xff} {
		for first := 0xe8; first <= 0xff; first++ { // about 2^255 - 19, with and without the bit that counts for nothing
			p := [32]byte(bytes.Repeat([]byte{0xff}, 32))
			p[0], p[31] = byte(first), last
			publics = append(publics, p)
		}
	}
	// The points of order 8.
	publics = append(publics,
		[32]byte{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
		[32]byte{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57})
	for range 1000 {
		var p [32]byte
		_, _ = random.Read(p[:])
		if p[0]&1 != 0 {
			binary.LittleEndian.PutUint64(p[8:], 0) // sparse
			binary.LittleEndian.PutUint64(p[16:], ^uint64(0))
		}
		publics = append(publics, p)
	}
	refused := 0
	for _, public := range publics {
		ours, err := drawKey(random)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := ecdh.X25519().NewPrivateKey(ours.Private)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := ours.Public, theirs.PublicKey().Bytes(); !bytes.Equal(got, want) {
			t.Fatalf("the public key of %x is %x, not %x", ours.Private, got, want)
		}
		p, err := ecdh.X25519().NewPublicKey(public[:])
		if err != nil {
			t.Fatal(err)
		}
		want, wantErr := theirs.ECDH(p)
		got, err := new(suite).DH(ours.Private, public[:])
		if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%x times %x is %x (%v), not %x (%v)", ours.Private, public, got, err, want, wantErr)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 8 {
		t.Errorf("%d public keys were refused", refused)
	}
}
