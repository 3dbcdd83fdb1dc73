// SPDX-License-Identifier: MIT

//go:build !linux

package transport

const lowLimitEnv = "LIFELINE_TEST_LOW_LIMIT"

func lowLimitMain() {}
