// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

func TestTokens(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := ed25519.GenerateKey(nil)
	sign := func(method jwt.SigningMethod, key any, change func(*claims)) string {
		c := &claims{"Ann", jwt.RegisteredClaims{Subject: "ann", Audience: jwt.ClaimStrings{audience}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}}
		change(c)
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, of := range map[string]struct {
		token func() string
		code  framework.Code // 0: it is let in
	}{
		"good":        {func() string { return sign(jwt.SigningMethodEdDSA, private, func(*claims) {}) }, 0},
		"of another":  {func() string { return sign(jwt.SigningMethodEdDSA, other, func(*claims) {}) }, codeBadToken},
		"not signed":  {func() string { return sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, func(*claims) {}) }, codeBadToken},
		"by a secret": {func() string { return sign(jwt.SigningMethodHS256, []byte(public), func(*claims) {}) }, codeBadToken},
		"for another": {func() string {
			return sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.Audience[0] = "shop" })
		}, codeBadToken},
		"without user": {func() string { return sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.Subject = "" }) }, codeBadToken},
		"without end":  {func() string { return sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.ExpiresAt = nil }) }, codeBadToken},
		"expired": {func() string {
			return sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.ExpiresAt.Time = time.Now().Add(-time.Minute) })
		}, codeExpired},
		"no token": {func() string { return "ann" }, codeBadToken},
	} {
		t.Run(name, func(t *testing.T) {
			o := gametest.Options{Client: func(_ string, cfg *client.Config) {
				cfg.Ticket = func(context.Context) ([]byte, error) { return []byte(of.token()), nil }
			}}
			o.Run(t, func(cfg framework.Config) (*framework.Server, error) { return newServer(cfg, public) }, func(g *gametest.Game) {
				p := g.NewPlayer("ann")
				err := p.Client.Connect(g.T.Context())
				var no *framework.CloseError
				switch {
				case of.code == 0 && err == nil:
					if name := gametest.Request[string](p, "whoami", nil); name != "Ann" {
						g.T.Errorf("it is %q", name)
					}
				case !errors.As(err, &no) || no.Code != of.code:
					g.T.Errorf("refused with %v, want code %d", err, of.code)
				}
			})
		})
	}
}
