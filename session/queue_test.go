// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"unsafe"

	"github.com/lifeline-go/lifeline/codec"
)

func TestQueueKeepsOrderAndReturnsMemory(t *testing.T) {
	// What waits must never count as less than it takes. On 32 bits it takes less.
	exact := bits.UintSize == 64
	if size := unsafe.Sizeof(packet{}); packetSize < size || exact && packetSize != size {
		t.Fatalf("packetSize is %d, should be %d", packetSize, size)
	}
	if size := unsafe.Sizeof(backlog{}); backlogSize < size || exact && backlogSize != size {
		t.Fatalf("backlogSize is %d, should be %d", backlogSize, size)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var pool Pool
	var q queue
	type item struct {
		kind codec.Kind
		body []byte
	}
	var model []item
	total := 0
	shared := []byte("shared by many, never written to or recycled")
	for range 100_000 {
		if rng.IntN(2) == 0 && len(model) < 3000 || len(model) == 0 {
			body, isShared := make([]byte, rng.IntN(300)+1), rng.IntN(4) == 0
			if rng.IntN(100) == 0 {
				body = make([]byte, rng.IntN(100_000)+1)
			}
			body[0] = byte(rng.Uint32())
			if isShared {
				body = shared
			}
			q.push(&pool, codec.Message, body, isShared)
			model = append(model, item{codec.Message, bytes.Clone(body)})
			total += len(body)
			if !isShared {
				clear(body) // the queue has its own copy
			}
		} else {
			p := q.at(0)
			if !bytes.Equal(p.body, model[0].body) || p.kind != model[0].kind {
				t.Fatal("another packet")
			}
			if n := q.pop(&pool); n != len(model[0].body) {
				t.Fatalf("pop says %d of %d bytes", n, len(model[0].body))
			}
			total -= len(model[0].body)
			model = model[1:]
		}
		if q.len() != len(model) || q.size() != total {
			t.Fatalf("%d packets of %d bytes, should be %d of %d", q.len(), q.size(), len(model), total)
		}
		if i := rng.IntN(len(model) + 1); i < len(model) && !bytes.Equal(q.at(i).body, model[i].body) {
			t.Fatalf("another packet at %d", i)
		}
		if rng.IntN(100) == 0 && pool.held != q.cost() {
			t.Fatalf("the pool holds %d bytes, should be %d", pool.held, q.cost())
		}
		if pool.kept > poolBytes {
			t.Fatalf("the pool keeps %d bytes", pool.kept)
		}
	}
	q.clear(&pool)
	if q.backlog != nil || q.len() != 0 || q.size() != 0 || pool.held != 0 {
		t.Errorf("an empty queue has a backlog of %+v, the pool holds %d", q.backlog, pool.held)
	}
	if string(shared) != "shared by many, never written to or recycled" {
		t.Error("the shared body was written to")
	}
	kept := 0
	for class, blocks := range pool.blocks {
		for _, b := range blocks {
			if len(b) != 0 || cap(b) != 1<<(class+minBlock) || &b[:1][0] == &shared[0] {
				t.Fatalf("a block of %d, cap %d in class %d", len(b), cap(b), class)
			}
			kept += cap(b)
		}
	}
	for class, rings := range pool.rings {
		for _, r := range rings {
			if len(r) != 1<<(class+minRing) {
				t.Fatalf("a ring of %d in class %d", len(r), class)
			}
			for _, p := range r {
				if p.body != nil {
					t.Fatal("a free ring holds a body")
				}
			}
			kept += len(r) * packetSize
		}
	}
	for _, b := range pool.backlogs {
		if !reflect.DeepEqual(*b, backlog{}) {
			t.Fatalf("a free backlog is %+v", *b)
		}
		kept += backlogSize
	}
	if kept != pool.kept {
		t.Errorf("the pool keeps %d bytes and says %d", kept, pool.kept)
	}
}

func TestQueueAllocatesNothing(t *testing.T) {
	var pool Pool
	var q queue
	for _, burst := range []int{1, 7, 100} {
		for _, size := range []int{1, 64, 65, 5000, 65536} {
			body := make([]byte, size)
			cycle := func() {
				for range burst {
					q.push(&pool, codec.Message, body, false)
				}
				for range burst {
					q.pop(&pool)
				}
			}
			if burst*size > poolBytes/2 {
				continue
			}
			pool = Pool{}
			cycle()
			if n := testing.AllocsPerRun(100, cycle); n != 0 {
				t.Errorf("%d packets of %d bytes: %v allocations", burst, size, n)
			}
		}
	}
}

// A body may be pushed in the pool of one loop and freed into that of another.
func TestQueueMovesBetweenPools(t *testing.T) {
	var a, b Pool
	var q queue
	for i := range 100 {
		q.push(&a, codec.Message, make([]byte, 10*i+1), false)
	}
	q.clear(&b)
	if b.kept == 0 || q.len() != 0 {
		t.Errorf("%d bytes came to the second pool", b.kept)
	}
}

// TestPoolLetsGo: a pool does not refer to what it has given away. Else it would keep 4 MiB of
// each size.
func TestPoolLetsGo(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var p Pool
	before := heap()
	for size := 1 << minBlock; size < 1<<(minBlock+blockSizes); size *= 2 {
		for range poolBytes / size {
			p.freeBlock(make([]byte, 0, size))
		}
		for p.kept > 0 {
			p.block(make([]byte, size))
		}
	}
	for n := 1 << minRing; n < 1<<(minRing+ringSizes); n *= 2 {
		for range poolBytes / (n * packetSize) {
			p.freeRing(make([]packet, n))
		}
		for p.kept > 0 {
			p.ring(n)
		}
	}
	if used := heap() - before; used > 8<<20 {
		t.Errorf("%d bytes are in use, and the pool has %d", used, p.kept)
	}
	runtime.KeepAlive(&p)
}
