// SPDX-License-Identifier: MIT

//go:build !linux

package main

func main() { panic("needs Linux, as bench does") }
