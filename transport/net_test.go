// SPDX-License-Identifier: MIT

package transport

const lowLimitEnv = "LIFELINE_TEST_LOW_LIMIT"

func lowLimitMain() {}
