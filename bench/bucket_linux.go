// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bucket is a NATS server of this process, with one bucket like those of framework/cluster/nats.
type bucket struct {
	folder, stream string
	srv            *server.Server
	nc             *nats.Conn
	js             jetstream.JetStream
	last           jetstream.PubAckFuture // of those on the way
}

// onTheWay bounds the writes that have no answer while a bucket is filled.
const onTheWay = 4096

// openBucket starts the server. store is memory or file.
func openBucket(store string) (b *bucket, err error) {
	b = &bucket{stream: "KV_lifeline_sessions"}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.folder, err = os.MkdirTemp("", "lifeline-bench-"); err != nil {
		return b, err
	}
	b.srv, err = server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: b.folder, JetStreamMaxMemory: maxDirectory, JetStreamMaxStore: 100 << 30, NoSigs: true,
	})
	if err != nil {
		return b, err
	}
	b.srv.Start()
	if !b.srv.ReadyForConnections(10 * time.Second) {
		return b, errors.New("the NATS server does not start")
	}
	if b.nc, err = nats.Connect("", nats.InProcessServer(b.srv)); err != nil {
		return b, err
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithPublishAsyncMaxPending(onTheWay)); err != nil {
		return b, err
	}
	kind := map[string]jetstream.StorageType{"memory": jetstream.MemoryStorage, "file": jetstream.FileStorage}[store]
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "lifeline_sessions", History: 1, Storage: kind})
	return b, err
}

// fill writes a new entry, without waiting for the answer.
func (b *bucket) fill(key string, value []byte) (err error) {
	for {
		b.last, err = b.js.PublishMsgAsync(&nats.Msg{Subject: prefix + key, Data: value}, jetstream.WithExpectLastSequencePerSubject(0))
		if !errors.Is(err, jetstream.ErrTooManyStalledMsgs) {
			return err
		}
	}
}

// filled waits until all are written.
func (b *bucket) filled() error {
	select {
	case <-b.js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		return fmt.Errorf("%d entries have no answer", b.js.PublishAsyncPending())
	}
	select {
	case err := <-b.last.Err():
		return err
	case <-b.last.Ok():
		return nil
	}
}

// put writes an entry whose revision is rev.
func (b *bucket) put(key string, value []byte, rev uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ack, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: prefix + key, Data: value}, jetstream.WithExpectLastSequencePerSubject(rev))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// disk is how many bytes the server has in files.
func (b *bucket) disk() (n float64, err error) {
	err = filepath.WalkDir(b.folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err == nil {
			n += float64(st.Size())
		}
		return err
	})
	return n, err
}

func (b *bucket) close() error {
	if b.nc != nil {
		b.nc.Close()
	}
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	}
	return os.RemoveAll(b.folder)
}
