// SPDX-License-Identifier: MIT

package transport

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestListenersOfOneKindShareNoPort(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":7777", ":7777", true},
		{":7777", ":7778", false},
		{":0", ":0", false},
		{"127.0.0.1:7777", ":7777", true},
		{"0.0.0.0:7777", "[::]:7777", true},
		{"10.0.0.1:7777", "[::]:7777", true},
		{"10.0.0.1:7777", "10.0.0.2:7777", false},
		{"10.0.0.1:7777", "[::ffff:10.0.0.1]:7777", true},
		{"localhost:7777", "127.0.0.1:7777", true},
		{"localhost:7777", "10.0.0.1:7777", false},
		{"game.example:7777", "game.example:7777", true},
		{":http", ":80", true},
		{"", "", false},
		{"7777", "7777", false}, // no address at all: refused elsewhere
	} {
		if Collide(c.a, c.b) != c.want || Collide(c.b, c.a) != c.want {
			t.Errorf("%q and %q collide: %v", c.a, c.b, !c.want)
		}
	}
}

// TestConfigThatCannotBeMeantIsRefused: at once, by the name of the field.
func TestConfigThatCannotBeMeantIsRefused(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string // what the error says
	}{
		{Config{TCP: ":7777", WebSocket: ":7777"}, `Config.TCP ":7777" and Config.WebSocket ":7777" are one port`},
		{Config{KCP: ":7777", PlainKCP: "127.0.0.1:7777"}, `Config.KCP ":7777" and Config.PlainKCP "127.0.0.1:7777" are one port`},
		{Config{KCP: ":7777", TCP: ":7777"}, ""}, // UDP and TCP
		{Config{PlainKCP: ":7777", WebSocket: ":7777"}, ""},
		{Config{TCP: "7777"}, `Config.TCP "7777" is no address to listen on`},
		{Config{KCP: ":70000"}, `Config.KCP ":70000" is no address to listen on`},
		{Config{WebSocket: "ws://localhost:80"}, "Config.WebSocket"},
		{Config{LinksPerAddress: math.MaxInt}, fmt.Sprint("Config.LinksPerAddress is ", math.MaxInt)},
		{Config{LinksPerAddress: math.MaxInt32}, "Config.LinksPerAddress"},
		{Config{LinksPerAddress: -1, OpensPerAddress: -1, CookieRate: -1, MaxPlainPerAddress: -1, CoalesceDelay: -1}, ""},
		{Config{OpensPerAddress: math.MaxInt}, "Config.OpensPerAddress"},
		{Config{CookieRate: math.MaxInt}, "Config.CookieRate"},
		{Config{MaxLinks: -1}, "Config.MaxLinks"},
		{Config{CoalesceDelay: 1}, "Config.CoalesceDelay is 1ns"},
		{Config{CoalesceDelay: time.Second}, "Config.CoalesceDelay is 1s"},
		{Config{OpeningTimeout: 5}, "Config.OpeningTimeout is 5ns"},
	} {
		err := c.cfg.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

// TestHostsAreComparedOnceTheyAreAddresses: names are only known when they are bound.
func TestHostsAreComparedOnceTheyAreAddresses(t *testing.T) {
	var tr Transport
	tr.addrs[TCP], tr.addrs[WebSocket] = netip.MustParseAddrPort("127.0.0.1:7777"), netip.MustParseAddrPort("0.0.0.0:7777")
	if err := tr.checkBound(); err == nil || !strings.Contains(err.Error(), "Config.TCP") {
		t.Errorf("got %v", err)
	}
	tr.addrs[WebSocket] = netip.MustParseAddrPort("127.0.0.2:7777")
	if err := tr.checkBound(); err != nil {
		t.Error(err)
	}
}
