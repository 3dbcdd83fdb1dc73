// SPDX-License-Identifier: MIT

//go:build !linux

package cluster

import (
	"errors"
	"os"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

func mark(string, core.Incarnation) (*os.File, error) {
	return nil, errors.New("cluster: Dir is for Linux: elsewhere nothing tells for sure that a process has ended")
}

func ended(string, core.Incarnation) bool { return false }
