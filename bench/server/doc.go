// SPDX-License-Identifier: MIT

// Package server is what the load is for: an echo server in a process of its
// own, and that process as the one who measures it sees it. Its standard input
// takes commands, one a line, each answered by one line of JSON; when the input
// ends, so does the server.
//
// Besides lifeline there are others to measure against, under the same load.
package server
