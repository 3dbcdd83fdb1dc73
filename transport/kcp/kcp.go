// SPDX-License-Identifier: MIT

// Package kcp is a skeleton: the signatures are final, the work is not.
package kcp

import (
	"errors"
	"math"
	"time"
)

const (
	HeaderSize               = 24
	MinMTU                   = 50
	MaxPayload               = 1536
	Never      time.Duration = math.MaxInt64
)

var (
	ErrShort     = errors.New("kcp: datagram ends inside a header")
	ErrTruncated = errors.New("kcp: datagram ends inside a payload")
	ErrConv      = errors.New("kcp: another conversation")
	ErrCommand   = errors.New("kcp: unknown command")
	ErrFragment  = errors.New("kcp: fragment number beyond the window")
	ErrEmpty     = errors.New("kcp: push without payload")
	ErrTooLarge  = errors.New("kcp: payload too large")
	ErrUnsent    = errors.New("kcp: acknowledges what was never sent")
	ErrWindow    = errors.New("kcp: push that no window allows")
	ErrFull      = errors.New("kcp: send window is full")
	ErrMTU       = errors.New("kcp: mtu out of range")
	ErrStalled   = errors.New("kcp: peer makes no progress")
)

type Config struct {
	MTU            int
	SendWindow     int
	RecvWindow     int
	MinRTO, MaxRTO time.Duration
	FastResend     int
	StallTimeout   time.Duration
	ExtraRTO       time.Duration
	Pool           *Pool
}

type Pool struct{}

// NewPool keeps at most retain bytes of free buffers (0: a default).
func NewPool(retain int) *Pool { return &Pool{} }

type Conn struct {
	conv uint32
	cfg  *Config
}

type Stats struct {
	SRTT, RTTVar, RTO time.Duration
	BytesIn, BytesOut uint64
	Retransmits       uint32
	Duplicates        uint32
	Dropped           uint32
	InFlight          int // segments
	Queued            int // segments not yet sent
	PeerWindow        int // segments the peer takes now
}

func (c *Conn) Init(conv uint32, cfg *Config)                          { c.conv, c.cfg = conv, cfg }
func (c *Conn) Conv() uint32                                           { return c.conv }
func (c *Conn) Input(now time.Duration, datagram []byte) error         { return nil }
func (c *Conn) Peek() []byte                                           { return nil }
func (c *Conn) Discard(n int)                                          {}
func (c *Conn) Room() int                                              { return 0 }
func (c *Conn) Write(b []byte) error                                   { return ErrFull }
func (c *Conn) Output(now time.Duration, dst []byte, limit int) []byte { return dst }
func (c *Conn) Pending() bool                                          { return false }
func (c *Conn) NextDeadline(now time.Duration) time.Duration           { return Never }

// Err is ErrStalled once Output has found the stall.
func (c *Conn) Err() error         { return nil }
func (c *Conn) SetMTU(n int) error { return nil }
func (c *Conn) Stats() Stats       { return Stats{} }
func (c *Conn) Release()           {}

func ParseConv(datagram []byte) (conv uint32, ok bool) { return 0, false }
func Opens(datagram []byte) bool                       { return false }
