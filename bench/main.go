// SPDX-License-Identifier: MIT

// Command bench loads a server and reports what that costs: see README.md.
//
//	go run ./bench echo -carrier plain-kcp -sessions 1000 -duration 5s -json
//	go run ./bench echo -sessions 1000 -versus kcp-go
//	go run ./bench idle -sessions 50000 -json
//	go run ./bench sessions -n 1000000 -json
//	go run ./bench all -report report.html
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	err := run(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
