// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// smoke is for CI: small runs whose ratios must not fall far below what is
// promised. How long anything takes is the machine's business and not looked at.
func smoke(o *options) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	var bad []error
	for _, t := range []struct {
		args  string
		check func(json.RawMessage) (string, error)
	}{
		{"echo -sessions 500 -duration 1s -warmup 500ms -runs 3 -versus kcp-go", cpuOf("of kcp-go's CPU a message", 0.6)},
		{"echo -sessions 500 -duration 1s -warmup 500ms -runs 3 -versus udp", cpuOf("of the CPU of bare datagrams", 3)},
		{"echo -carrier kcp -sessions 500 -duration 1s -warmup 500ms -runs 3 -versus plain-kcp", cpuOf("of plain KCP's CPU a message", 2)},
		{"broadcast -members 500 -rate 20 -duration 1s -warmup 500ms -runs 3", deliveryCosts(4)},
		{"storm -sessions 2000 -warmup 1s", stormLosesNothing},
	} {
		s := runStep(path, "smoke", t.args)
		text, err := s.Error, error(nil)
		if text != "" {
			err = errors.New("failed")
		} else {
			text, err = t.check(s.Result)
		}
		fmt.Fprintf(o.out, "bench %s: %s\n", t.args, text)
		if err != nil {
			bad = append(bad, fmt.Errorf("bench %s: %w", t.args, err))
		}
	}
	return errors.Join(bad...)
}

func within(v, limit float64, text string) (string, error) {
	text = fmt.Sprintf("%.2f %s, at most %.2g", v, text, limit)
	if !(v > 0 && v <= limit) {
		return text, errors.New(text)
	}
	return text, nil
}

func cpuOf(text string, limit float64) func(json.RawMessage) (string, error) {
	return func(raw json.RawMessage) (string, error) {
		rs := reportsOf(raw)
		if len(rs) != 2 || rs[1].Over == nil {
			return "", errors.New("nothing is compared")
		}
		return within(rs[1].Over.ServerCPUPerMsg.Median, limit, text)
	}
}

func deliveryCosts(limit float64) func(json.RawMessage) (string, error) {
	return func(raw json.RawMessage) (string, error) {
		var r struct {
			Ratio spread `json:"cpu_per_delivery_over_echo"`
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			return "", err
		}
		return within(r.Ratio.Median, limit, "of an echo's CPU for a delivery")
	}
}

func stormLosesNothing(raw json.RawMessage) (string, error) {
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d back; lost %v, twice %v, wrong %d, reset %v", r.Sessions, r.MessagesLost, r.MessagesTwice, r.Errors.Wrong, r.StreamsReset)
	if r.ResumesPerSec == 0 || r.MessagesLost+r.MessagesTwice+r.StreamsReset+float64(r.Errors.Lost+r.Errors.Wrong) > 0 {
		return text, errors.New(text)
	}
	return text, nil
}
