// SPDX-License-Identifier: MIT

//go:build !linux

package main

import "errors"

func run([]string) error {
	return errors.New("needs Linux: it drives its players with epoll and reads what the server costs from /proc")
}
