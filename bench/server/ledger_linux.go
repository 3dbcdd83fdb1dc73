// SPDX-License-Identifier: MIT

package server

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ledger is what the servers of a cluster know of each player: which request comes next, and
// which message was sent last. It is a file that all of them have in memory, so that it
// outlives each of them, however it ends.
type ledger struct{ pages []page }

// page is what is known of one player. The server that has its session writes it.
type page struct {
	next     atomic.Uint64 // request
	missing  atomic.Uint64 // requests that were left out
	repeated atomic.Uint64 // requests that had been there before
	pushed   atomic.Uint64 // number of the last message
	arrived  atomic.Uint64 // number of the last one that the player has: its process writes it
}

const pageSize = int(unsafe.Sizeof(page{}))

// openLedger maps a file, nil without one.
func openLedger(path string) (*ledger, error) {
	pages, err := mapFile[page](path)
	if err != nil || pages == nil {
		return nil, err
	}
	return &ledger{pages}, nil
}

// mapFile has a file of Ts in memory, until the process ends. It is nil without a file.
func mapFile[T any](path string) ([]T, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(*new(T)))), nil
}

// of returns the page of a player, nil if there is none.
func (l *ledger) of(index int) *page {
	if index < 0 || index >= len(l.pages) {
		return nil
	}
	return &l.pages[index]
}

// count takes note of request n. It tells how many were left out before it, and whether it
// had been there before.
func (p *page) count(n uint64) (missing uint64, repeated bool) {
	next := p.next.Load()
	if n < next {
		p.repeated.Add(1)
		return 0, true
	}
	p.missing.Add(n - next)
	p.next.Store(n + 1)
	return n - next, false
}

// Ledger is the file as the process of the players sees it.
type Ledger struct {
	Path string
	l    *ledger
}

// NewLedger makes the file for so many players.
func NewLedger(path string, players int) (*Ledger, error) {
	if err := os.WriteFile(path, make([]byte, players*pageSize), 0o600); err != nil {
		return nil, err
	}
	l, err := openLedger(path)
	return &Ledger{path, l}, err
}

// Arrived notes which message a player got last.
func (l *Ledger) Arrived(player int, number uint64) { l.l.of(player).arrived.Store(number) }

// Account is what the servers know of a player.
type Account struct {
	Next     uint64 // the request that comes next: so many were handled or are missing
	Missing  uint64 // requests that were left out
	Repeated uint64 // requests that were handled again
	Pushed   uint64 // messages that were sent
}

// Account returns what is known of a player.
func (l *Ledger) Account(player int) Account {
	p := l.l.of(player)
	return Account{p.next.Load(), p.missing.Load(), p.repeated.Load(), p.pushed.Load()}
}
