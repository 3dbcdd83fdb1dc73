// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	id, err := NewID(0x0102, 0x03040506, bytes.NewReader(bytes.Repeat([]byte{0xab}, 10)))
	if want := "0201" + "06050403" + strings.Repeat("ab", 10); err != nil || id.String() != want {
		t.Fatalf("%v %v, want %s", id, err, want)
	}
	if back, err := ParseID(id.String()); err != nil || back != id {
		t.Errorf("%v %v", back, err)
	}
	if b, err := json.Marshal(map[string]ID{"id": id}); err != nil || string(b) != `{"id":"`+id.String()+`"}` {
		t.Errorf("%s %v", b, err)
	}
	for _, bad := range []string{"", "00", id.String()[1:], id.String() + "00", strings.Repeat("g", 32)} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q is taken as an id", bad)
		}
	}
	if _, err := NewID(1, 1, bytes.NewReader(nil)); err == nil {
		t.Error("an id without random bits")
	}
}

func TestUserID(t *testing.T) {
	h := UserHash{1, 2, 3, 4, 5, 6}
	id, err := NewUserID(0x0102, 0x03040506, h, bytes.NewReader(bytes.Repeat([]byte{0xab}, 10)))
	if want := "0201" + "06050403" + "010203040506" + "abababab"; err != nil || id.String() != want {
		t.Fatalf("%v %v, want %s", id, err, want)
	}
	if id.UserHash() != h || id.Node() != 0x0102 || id.Boot() != 0x03040506 {
		t.Errorf("%x, node %x, boot %x", id.UserHash(), id.Node(), id.Boot())
	}
	m := hmac.New(sha256.New, make([]byte, 32))
	m.Write([]byte("lifeline/user/1ann"))
	if got := (Secret{}).UserHash("ann"); !bytes.Equal(got[:], m.Sum(nil)[:6]) {
		t.Errorf("the hash of a user is %x", got)
	}
}

func TestToken(t *testing.T) {
	id, key, seal := ID{1, 2, 3}, Key{4, 5, 6, 31: 255}, Key{7, 31: 8}
	token := Token(id, key, Key{})
	if gotID, gotKey, gotSeal, err := ParseToken(token); err != nil || gotID != id || gotKey != key || gotSeal != (Key{}) {
		t.Fatalf("%v %v %v %v", gotID, gotKey, gotSeal, err)
	}
	if gotID, gotKey, gotSeal, err := ParseToken(Token(id, key, seal)); err != nil || gotID != id || gotKey != key || gotSeal != seal {
		t.Fatalf("%v %v %v %v", gotID, gotKey, gotSeal, err)
	}
	if len(token) != 68 || !strings.HasPrefix(token, "ll1.") {
		t.Errorf("%q", token)
	}
	for _, bad := range []string{"", "ll1.", token[4:], token[:67], token + "A", "ll2." + token[4:], strings.Replace(token, ".", ":", 1), "ll1." + strings.Repeat("+", 64)} {
		if _, _, _, err := ParseToken(bad); !errors.Is(err, ErrToken) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := NewClient(ClientConfig{Token: bad, Rand: func() uint64 { return 1 }}); bad != "" && !errors.Is(err, ErrToken) {
			t.Errorf("client with %q: %v", bad, err)
		}
	}
}

// The proof as SPEC 6.2 has it, written out once more.
func TestProofInput(t *testing.T) {
	r := ResumeRequest{ID: ID{9, 8}, Attempt: 1 << 60, Recv: 77, Lowest: 5}
	key, nonce := Key{1}, Nonce{2}
	var in []byte
	in = append(in, "lifeline/resume/1"...)
	in = append(in, r.ID[:]...)
	in = binary.LittleEndian.AppendUint64(in, r.Attempt)
	in = append(in, 1)
	in = binary.LittleEndian.AppendUint64(in, r.Recv)
	in = binary.LittleEndian.AppendUint64(in, r.Lowest)
	in = append(in, nonce[:]...)
	m := hmac.New(sha256.New, key[:])
	m.Write(in)
	if got := r.proof(key, nonce); len(in) != 74 || !bytes.Equal(got[:], m.Sum(nil)) {
		t.Errorf("%d bytes: %x", len(in), got)
	}
}

func TestOpeningKey(t *testing.T) {
	a := HelloRequest{Opening: [16]byte{1}, Ticket: []byte("t"), Attempt: 1}
	b := a
	b.Nonce, b.Info, b.Attempt = Nonce{5}, "another link", 2
	if a.OpeningKey() != b.OpeningKey() {
		t.Error("a repeated HELLO has another key")
	}
	b.Ticket = []byte("T")
	c := a
	c.Opening[15] = 1
	if a.OpeningKey() == b.OpeningKey() || a.OpeningKey() == c.OpeningKey() {
		t.Error("another login has the same key")
	}
}
