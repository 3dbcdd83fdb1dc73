// SPDX-License-Identifier: MIT

// Package social has what players are to each other outside of a match: parties, which
// stay together through drops and queues, and presence, by which a player watches its
// friends.
//
//	parties := social.NewParties(srv, social.PartyConfig{Size: 4})
//	presence := social.NewPresence(srv, social.PresenceConfig{MayWatch: areFriends})
//	maker := match.New(srv, match.Options{Party: parties.Together})
//
// Both know users by framework.Player.User. Parties live on one server; presence is of all
// servers of a cluster with PresenceConfig.Others. A player that uses neither costs nothing.
// Clients speak the routes of framework/client/CLIENT.md 9: client.Party and client.Friends
// in Go, Party and Friends in TypeScript, Client.Party and Client.Friends in C#.
//
// Each of the two has one lock, which is held for no call of the game's code.
package social
