// SPDX-License-Identifier: MIT

package pending

import (
	"context"
	"errors"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
)

func TestCallsAreSettledOnceByTheirID(t *testing.T) {
	var table Table
	table.StartAfter(1 << 32)
	if table.Next() != 1<<32+1 || !table.Take(1).IsZero() {
		t.Errorf("an empty table begins at %d", table.Next())
	}
	a, b := table.Add(0), table.Add(7)
	if table.Len() != 2 || table.Next() != 1<<32+3 || b.Tag != 7 {
		t.Errorf("%d calls, next %d, tag %d", table.Len(), table.Next(), b.Tag)
	}
	table.Take(1<<32 + 2).Settle(Answer{Payload: []byte("b")})
	if !table.Take(1<<32+2).IsZero() || table.Len() != 1 {
		t.Error("a call was taken twice")
	}
	table.FailAll(errors.New("over"))
	if got, err := b.Wait(t.Context(), nil); string(got) != "b" || err != nil {
		t.Errorf("b: %q, %v", got, err)
	}
	if _, err := a.Wait(t.Context(), nil); err == nil || err.Error() != "over" || table.Len() != 0 {
		t.Errorf("a: %v, %d calls wait", err, table.Len())
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var table Table
	c := table.Add(0)
	if _, err := c.Wait(ctx, func() { table.Take(1) }); !errors.Is(err, context.Canceled) || table.Len() != 0 {
		t.Errorf("%v, %d calls wait", err, table.Len())
	}
	c = table.Add(0)
	got, err := c.Wait(ctx, func() { table.Take(2).Settle(Answer{Payload: []byte("late")}) })
	if string(got) != "late" || err != nil {
		t.Errorf("an answer that came as the context ended: %q, %v", got, err)
	}
}

func TestParse(t *testing.T) {
	body := codec.AppendFailure(nil, 5, codec.ErrorFull, "no seat")
	id, a, err := Parse(codec.Packet{Header: codec.Header{Kind: codec.Failure}, Body: body})
	var failure *codec.Error
	if id != 5 || err != nil || !errors.As(a.Err, &failure) || failure.Code != codec.ErrorFull || failure.Text != "no seat" {
		t.Errorf("FAILURE: id %d, %+v, %v", id, a, err)
	}
	// An answer of which only the id can be read fails the call of that id.
	broken := []byte{0x93, 5, 0xa1, 'x', 0xa0} // its code is text
	if id, a, err = Parse(codec.Packet{Header: codec.Header{Kind: codec.Failure}, Body: broken}); err == nil || id != 5 || !errors.Is(a.Err, err) {
		t.Errorf("a malformed FAILURE: id %d, %+v, %v", id, a, err)
	}
	if id, a, err = Parse(codec.Packet{Header: codec.Header{Kind: codec.Response}, Body: []byte{0xc1}}); err == nil || id != 0 || a.Err == nil {
		t.Errorf("no envelope: id %d, %+v, %v", id, a, err)
	}
}
