// SPDX-License-Identifier: MIT

// Package queue decides who plays with whom. It is the pure core of framework/match:
// tickets and the time go in, matches come out. It knows no clock, goroutine, lock or
// network, so a studio can try its rules on a year of its own data in seconds.
//
//	q, err := queue.New(queue.Rules{Size: 5, Window: queue.Window{Start: 50, PerSecond: 10}})
//	err = q.Enter(&queue.Ticket{Members: []queue.Member{{ID: "ann", Rating: 1500}}}, now)
//	for _, e := range q.Step(now) { ... }
//
// # How it decides
//
// Step takes the tickets that are due, the oldest first. Each looks at the tickets around
// its rating, the nearest first, and keeps those that are within the window of either:
// so the one that has waited longer decides how far apart two may be. From these it packs
// teams. Parties stay whole. At last it deals the same tickets to teams that are as equal
// as they can be.
//
// A ticket that found nobody is due again after an eighth of its wait, between 250 ms and
// 5 s. Newcomers look at all that wait, so nothing is missed meanwhile. What one look
// costs is bounded, and the bound rises with each that has failed.
//
// All of it follows from the calls and their times alone: the same calls give the same
// events. A Queue belongs to one goroutine at a time.
package queue
