// SPDX-License-Identifier: MIT

// Package proc asks the operating system what processes cost, and gives them
// a core of their own. It knows Linux only.
package proc
