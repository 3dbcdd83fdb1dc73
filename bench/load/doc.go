// SPDX-License-Identifier: MIT

// Package load plays very many players against one server on one core: a
// socket each as real players have, no goroutine for any. The session layer is
// session.Client and the KCP is transport/kcp, both pure, so that all of them
// fit behind one epoll.
//
// Without a rate it is a closed loop: a player asks, waits for the answer,
// checks it and asks again. Latency at saturation is then queueing: players /
// throughput. With a rate it is an open loop: requests come at their time
// whether or not the answers do, and latency counts from that time, so that
// a server that stands still is charged for all who came meanwhile.
//
// Players can lose all their links at once and come back by the rules of
// session.Client: nothing may be lost or come twice then either.
//
// It knows Linux only, but for the histogram.
package load
