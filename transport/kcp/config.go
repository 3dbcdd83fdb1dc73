// SPDX-License-Identifier: MIT

package kcp

import "time"

// MinMTU is the smallest datagram size a Conn can be told to build, as in KCP.
const MinMTU = 50

const (
	maxMTU    = 65507 // the largest UDP payload
	maxWindow = 1<<15 - 1

	// cutMTU is the datagram that segments are cut for, whatever the MTU: a
	// segment can't be cut again once it has a number, and the path may shrink.
	cutMTU = 1200 // unless Config.Cut says less
)

// Config is what all conversations of one loop share. The zero value works. Owned
// by the loop. Only ExtraRTO and the counters change while conversations use it.
type Config struct {
	// MTU is the largest datagram that Output builds, in bytes, headers
	// included. If zero, Cut. If larger than Cut, one datagram has more
	// segments.
	MTU int

	// Cut is the size of the datagram that segments are cut for, in bytes. Every
	// path must carry it. If zero, 1200, which is also the most.
	Cut int

	// SendWindow is how many segments a conversation holds, in flight or
	// waiting: with MTU it bounds the memory of Write. If zero, 256. Windows
	// are lists that are walked: hundreds are fine, tens of thousands are slow.
	SendWindow int

	// RecvWindow is how many received segments a conversation holds, whether
	// they wait for Discard or for the segments before them. It is at most
	// 32767. If zero, 128, which is what KCP's own clients expect.
	RecvWindow int

	// MinRTO and MaxRTO bound the retransmission timeout. If zero, 30 ms and
	// 4 s.
	MinRTO, MaxRTO time.Duration

	// FastResend is how many acknowledgements of later segments make a segment
	// lost before its timeout. If zero, 2. If negative, none do.
	FastResend int

	// NoRepeats switches the repeats of SPEC 5.6 off, to be like stock KCP.
	NoRepeats bool

	// StallTimeout is how long a conversation may go without progress before
	// Err says ErrStalled. If zero, 60 s. If negative, there is no limit.
	StallTimeout time.Duration

	// ExtraRTO is added to every retransmission timeout that starts from now on. A
	// loop sets it to its own lateness: an ack that waits in our own queue is not
	// lost, and sending the segment again makes that queue longer.
	ExtraRTO time.Duration

	// Pool recycles segments. If nil, each one is allocated.
	Pool *Pool

	// Retransmits counts the segments that all conversations sent again.
	Retransmits uint64

	// Repeats counts those that were sent again before anything was known to
	// be lost: SPEC 5.6.
	Repeats uint64
}

func (cfg *Config) mtu() int {
	if cfg.MTU == 0 {
		return cfg.cut()
	}
	return min(max(cfg.MTU, MinMTU), maxMTU)
}

func (cfg *Config) cut() int {
	if cfg.Cut == 0 {
		return cutMTU
	}
	return min(max(cfg.Cut, MinMTU), cutMTU)
}

func (cfg *Config) sendWindow() int {
	if cfg.SendWindow <= 0 {
		return 256
	}
	return min(cfg.SendWindow, maxWindow)
}

func (cfg *Config) recvWindow() int {
	if cfg.RecvWindow <= 0 {
		return 128
	}
	return min(cfg.RecvWindow, maxWindow)
}

// boundRTO brings d between MinRTO and MaxRTO.
func (cfg *Config) boundRTO(d time.Duration) time.Duration {
	lo, hi := cfg.MinRTO, cfg.MaxRTO
	if lo <= 0 {
		lo = 30 * time.Millisecond
	}
	if hi <= 0 {
		hi = 4 * time.Second
	}
	return max(min(d, hi), lo)
}

// fastResend returns how many skips make a segment lost; 0 means that none do.
func (cfg *Config) fastResend() int {
	if cfg.FastResend == 0 {
		return 2
	}
	return min(max(cfg.FastResend, 0), 255)
}

// stallTimeout returns Never when there is no limit.
func (cfg *Config) stallTimeout() time.Duration {
	if cfg.StallTimeout == 0 {
		return time.Minute
	}
	if cfg.StallTimeout < 0 {
		return Never
	}
	return cfg.StallTimeout
}
