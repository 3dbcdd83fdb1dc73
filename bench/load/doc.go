// SPDX-License-Identifier: MIT

// Package load plays very many players against one server on one core: a
// socket each as real players have, no goroutine for any. The session layer is
// session.Client and the KCP is transport/kcp, both pure, so that all of them
// fit behind one epoll.
//
// It is a closed loop: a player asks, waits for the answer, checks it and asks
// again. Latency at saturation is therefore queueing: players / throughput.
//
// It knows Linux only, but for the histogram.
package load
