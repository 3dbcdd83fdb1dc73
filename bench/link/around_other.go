// SPDX-License-Identifier: MIT

//go:build !linux

package main

import (
	"errors"

	"github.com/lifeline-go/lifeline/bench/link/path"
)

func around([]string, path.Config) error {
	return errors.New("a network for a command needs Linux; -udp works here")
}
