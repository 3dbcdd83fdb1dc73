// SPDX-License-Identifier: MIT

// Command jwt is a server whose players log in by a JSON Web Token, which a login
// service has signed. The server keeps no secret of that service: the public key is
// enough to tell a good token from a forged one. To try it without such a service, be it:
//
//	openssl genpkey -algorithm ed25519 -out login.key
//	openssl pkey -in login.key -pubout -out login.pub
//	go run ./jwt
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lifeline-go/lifeline/framework"
)

// What a client is told by code: get a new token, or don't come back.
const (
	codeExpired  = 1001
	codeBadToken = 1002
)

// claims is what the login service says of a user. Its Subject is the user.
type claims struct {
	Name string `json:"name"`
	jwt.RegisteredClaims
}

const audience = "game" // of the tokens: those for another service are no good here

// authenticate makes the hook that accepts the tokens that the private key has signed.
func authenticate(key ed25519.PublicKey) func(context.Context, framework.Login) (framework.Identity, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), // never what the token itself says
		jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithLeeway(10*time.Second),
	)
	return func(_ context.Context, l framework.Login) (framework.Identity, error) {
		c := new(claims)
		_, err := parser.ParseWithClaims(string(l.Ticket), c, func(*jwt.Token) (any, error) { return key, nil })
		switch {
		case errors.Is(err, jwt.ErrTokenExpired):
			return framework.Identity{}, framework.Fail(codeExpired, "the token has expired")
		case err != nil || c.Subject == "":
			return framework.Identity{}, framework.Fail(codeBadToken, "this is no token of ours")
		}
		return framework.Identity{User: c.Subject, Data: c}, nil
	}
}

func newServer(cfg framework.Config, key ed25519.PublicKey) (*framework.Server, error) {
	cfg.Authenticate = authenticate(key)
	cfg.Strict = true // while it is developed: what comes to nothing is told
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	framework.OnRequest(srv, "whoami", func(p *framework.Player, _ struct{}) (string, error) {
		return framework.DataOf[*claims](p).Name, nil
	})
	return srv, nil
}

// readKey reads a public key as "openssl pkey -pubout" writes it.
func readKey(file string) (ed25519.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("jwt: no PEM in " + file)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("jwt: no Ed25519 key in " + file)
	}
	return ed, nil
}

func main() {
	kcp := flag.String("kcp", "127.0.0.1:7777", "listen `address` of sealed KCP: a token in clear is anybody's")
	file := flag.String("key", "login.pub", "`file` of the login service's public key, as \"openssl pkey -pubout\" writes it")
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag", flag.Arg(0))
	}
	key, err := readKey(*file)
	if err != nil {
		log.Fatal(err)
	}
	srv, err := newServer(framework.Config{KCP: *kcp}, key)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := srv.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
