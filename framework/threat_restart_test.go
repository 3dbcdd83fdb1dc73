// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// More threats of transport/THREATS.md: what is stolen, and servers and keys that
// come and go.

// resume is the body of a RESUME as the holder of a token makes it: session/SPEC 6.2.
func resume(t *testing.T, token string, nonce []byte, attempt, recv uint64) []byte {
	t.Helper()
	id, key, _, err := session.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	in := append([]byte("lifeline/resume/1"), id[:]...)
	in = append(binary.LittleEndian.AppendUint64(in, attempt), 1)
	in = binary.LittleEndian.AppendUint64(in, recv)
	in = append(binary.LittleEndian.AppendUint64(in, 1), nonce...)
	m := hmac.New(sha256.New, key[:])
	m.Write(in)
	body, err := codec.AppendBody(nil, &struct {
		ID      []byte
		Attempt uint64
		Recv    uint64
		Lowest  uint64
		Proof   []byte
	}{id[:], attempt, recv, 1, m.Sum(nil)})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// T14: a RESUME with any one of its bits changed is worth nothing, and whatever
// is wrong about it the answer is the same. The session does not notice.
func TestThreatEveryBitOfAResume(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 2}, nil, func(e *env) {
		c := e.dial("ann", transport.TCP)
		token, attempt := c.Token(), uint64(time.Now().Add(time.Hour).UnixMicro())
		bits := 8 * len(resume(t, token, make([]byte, 16), attempt, 0))
		var same []byte
		unknown := 0
		for bit := range bits {
			r, nonce := e.raw()
			body := resume(t, token, nonce, attempt, 0)
			body[bit/8] ^= 1 << (bit % 8)
			r.write(codec.Header{Kind: codec.Resume}, body)
			switch kind, answer, err := r.next(); {
			case err != nil || codec.Kind(kind) == codec.Bye: // not even a RESUME any more
			case codec.Kind(kind) != codec.Refused:
				t.Errorf("bit %d: %v", bit, codec.Kind(kind))
			case same != nil && !bytes.Equal(answer, same):
				t.Errorf("bit %d: the refusal differs", bit)
			default:
				same = answer
				unknown++
			}
			_ = r.conn.Close()
		}
		// All of the id, the attempt and the proof, at least.
		if refused := e.srv.Stats().Refusal[framework.CodeName(session.Unknown)]; unknown < 8*(16+7+32) || refused != uint64(unknown) {
			t.Errorf("%d of %d bits were refused, %d as UNKNOWN", unknown, bits, refused)
		}
		if s := c.Stats(); s.Losses != 0 || s.Opens != 1 || len(e.of("ann")) != 1 {
			t.Errorf("the player noticed: %+v, %v", s, e.of("ann"))
		}
		// Without a change it is as good as the player's own.
		r, nonce := e.raw()
		r.write(codec.Header{Kind: codec.Resume}, resume(t, token, nonce, attempt, 0))
		if kind, _, err := r.next(); err != nil || codec.Kind(kind) != codec.Resumed {
			t.Errorf("unchanged: %v, %v", codec.Kind(kind), err)
		}
		_ = r.conn.Close()
	})
}

// T15: the server's key is changed while everybody plays: server after server
// takes the sessions over, the first with the old key, the next with both, the
// last with the new one. No resume fails. Then who knows only the old key gets in
// no more.
func TestThreatKeyIsChangedUnderLoad(t *testing.T) {
	players, each := 16, 120
	if testing.Short() {
		players = 4
	}
	dir := t.TempDir()
	var keys [2]seal.Key // old and new
	for i := range keys {
		var err error
		if keys[i], err = seal.NewKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	g := &game{said: map[string][]uint64{}, state: map[string]uint64{}}
	config := func(node uint16, lines string) framework.Config {
		cfg := g.config(node, fmt.Sprintf("kcp://10.0.0.%d:7780", node))
		cfg.KeyFile = filepath.Join(dir, fmt.Sprint(node))
		if err := os.WriteFile(cfg.KeyFile, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Drain = framework.Drain{Window: 2 * time.Second, Address: fmt.Sprintf("kcp://10.0.0.%d:7780", node+1)}
		return cfg
	}
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, config(1, keys[0].Text()), g.routes, func(a *env) {
		b := serve(t, a.net, "10.0.0.2", config(2, keys[1].Text()+"\n"+keys[0].Text()), g.routes)
		defer b.end()
		c := serve(t, a.net, "10.0.0.3", config(3, keys[1].Text()), g.routes)
		defer c.end()
		knows := func(e *env, user string, key seal.Key) *client.Client {
			cfg := e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }})
			cfg.ServerKey = key.Public().String()
			p, err := client.New([]string{e.addr(transport.KCP)}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			e.clients = append(e.clients, p)
			return p
		}
		var talking sync.WaitGroup
		var list []*client.Client
		play := func(e *env, key seal.Key) {
			user := fmt.Sprint("p", len(list))
			p := knows(e, user, key)
			list = append(list, p)
			e.connect(p)
			talking.Go(func() {
				for n := range each {
					if err := p.Send("say", uint64(n+1)); err != nil {
						t.Error(err)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		for range players {
			play(a, keys[0])
		}
		shutdown := func(e *env) {
			if err := e.srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		shutdown(a)
		play(b, keys[0]) // either key will do
		play(b, keys[1])
		for range 3 {
			for _, p := range list {
				p.Cut()
			}
			time.Sleep(500 * time.Millisecond)
		}
		shutdown(b)
		for _, p := range list {
			p.Cut()
		}
		talking.Wait()
		c.within(time.Minute, "everything has been said", func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			for i := range list {
				if len(g.said[fmt.Sprint("p", i)]) < each {
					return false
				}
			}
			return true
		})
		for i, p := range list {
			user := fmt.Sprint("p", i)
			wholeFrom(t, user, g.said[user], 1, each)
			if s := p.Stats(); s.Opens != 1 || s.Resets != 0 || s.Resumes < 2 || len(c.srv.User(user)) != 1 {
				t.Errorf("%s: %+v, %d at the last server", user, s, len(c.srv.User(user)))
			}
		}
		c.connect(knows(c, "knows the new key", keys[1]))
		hurry, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := knows(c, "knows the old key", keys[0]).Connect(hurry); err == nil {
			t.Error("a key that was taken away still opens a session")
		}
		if n := c.srv.Stats().Transport.Handshakes.WrongKey; n == 0 {
			t.Error("nobody was refused for the old key")
		}
	})
}

// T25: another process follows on the same port, with the same key and secret:
// after an orderly end, and after one that nobody was told of. Everybody logs in
// again, nothing of one player reaches another or comes to both, and whatever was
// sent has reached a handler or is told to be undelivered; where the last words
// were lost it may be both.
func TestThreatAnotherProcessOnThePort(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { anotherProcess(t, killed) })
		})
	}
}

// follower is a player whose server is replaced. Guarded by mu.
type follower struct {
	mu     sync.Mutex
	heard  [2][]uint64 // by each process
	undone []uint64    // told to be undelivered
}

func anotherProcess(t *testing.T, killed bool) {
	players, each := 60, 80
	if testing.Short() {
		players = 20
	}
	mild := memnet.Conditions{Delay: 10 * time.Millisecond}
	network := memnet.New(1, mild)
	list := make([]*follower, players)
	for i := range list {
		list[i] = new(follower)
	}
	process := func(n int) func(*framework.Server) {
		return func(s *framework.Server) {
			framework.OnMessage(s, "say", func(p *framework.Player, m [2]uint64) {
				if p.User() != fmt.Sprint("p", m[0]) {
					t.Errorf("%s was given what p%d said", p.User(), m[0])
				}
				f := list[m[0]]
				f.mu.Lock()
				f.heard[n] = append(f.heard[n], m[1])
				f.mu.Unlock()
			})
		}
	}
	cfg := framework.Config{
		Loops: 2, Secret: session.Secret{7}, KeyFile: filepath.Join(t.TempDir(), "key"), Session: quick,
		LinksPerAddress: -1, OpensPerAddress: -1,
	}
	first := serve(t, network, "10.0.0.1", cfg, process(0))
	var talking sync.WaitGroup
	var clients []*client.Client
	for i, f := range list {
		c, err := client.New([]string{first.addr(transport.KCP)}, first.dialers(client.Config{
			Ticket: func(context.Context) ([]byte, error) { return fmt.Append(nil, "p", i), nil },
			OnEvent: func(s client.Event) {
				f.mu.Lock()
				defer f.mu.Unlock()
				for _, u := range s.Undelivered {
					var m [2]uint64
					if err := codec.DecodeBody(u.Payload, &m); err != nil {
						t.Error(err)
					}
					f.undone = append(f.undone, m[1])
				}
			},
		}))
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
		first.connect(c)
		talking.Go(func() {
			for n := range uint64(each) {
				if err := c.Send("say", [2]uint64{uint64(i), n + 1}); err != nil {
					t.Error(err)
				}
				time.Sleep(300 * time.Millisecond)
			}
		})
	}
	time.Sleep(2 * time.Second)
	if killed {
		network.SetConditions(memnet.Conditions{Loss: 1})
	}
	first.end()
	second := serve(t, network, "10.0.0.1", cfg, process(1))
	defer second.end()
	second.clients = clients
	network.SetConditions(mild)
	talking.Wait()
	time.Sleep(20 * time.Second)
	for i, c := range clients {
		f, user := list[i], fmt.Sprint("p", i)
		if s := c.Stats(); s.Opens != 2 || s.Resumes != 0 || len(second.srv.User(user)) != 1 {
			t.Fatalf("%s: %+v, %d at the second", user, s, len(second.srv.User(user)))
		}
		f.mu.Lock()
		for n := range uint64(each) {
			times := 0
			for _, where := range [][]uint64{f.heard[0], f.heard[1], f.undone} {
				if slices.Contains(where, n+1) {
					times++
				}
			}
			if times == 0 || slices.Contains(f.heard[0], n+1) && slices.Contains(f.heard[1], n+1) {
				t.Errorf("%s: %d of the first, %v of the second, %v undelivered: %d", user, len(f.heard[0]), f.heard[1], f.undone, n+1)
				break
			}
		}
		if len(f.heard[0]) == 0 || len(f.heard[1]) == 0 || !slices.IsSorted(f.heard[0]) || !slices.IsSorted(f.heard[1]) {
			t.Errorf("%s: %v of the first, %v of the second", user, f.heard[0], f.heard[1])
		}
		f.mu.Unlock()
	}
	if s := second.srv.Stats(); s.Opened != uint64(players) || s.Sessions != players || s.Resumed != 0 || s.Transport.Panics != 0 {
		t.Errorf("%+v", s)
	}
}
