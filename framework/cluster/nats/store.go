// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// The methods of cluster.Bus.

func (b *Bus) bucket(name string) string { return b.cfg.Name + "_" + name }

// split returns the subject and the stream of a key.
func (b *Bus) split(key string) (subject, stream string) {
	bucket, name, _ := strings.Cut(key, "/")
	return "$KV." + b.bucket(bucket) + "." + name, "KV_" + b.bucket(bucket)
}

// stored is the answer of the leader of a stream.
type stored struct {
	Message *struct {
		Seq    uint64 `json:"seq"`
		Header []byte `json:"hdrs"`
		Data   []byte `json:"data"`
	} `json:"message"`
	Error *jetstream.APIError `json:"error"`
}

// Get implements cluster.Bus. It asks the leader: a replica may be late.
func (b *Bus) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	subject, stream := b.split(key)
	q, _ := json.Marshal(map[string]string{"last_by_subj": subject})
	m, err := b.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, q)
	if err != nil {
		return nil, 0, b.failed("get", key, err)
	}
	var at stored
	switch err := json.Unmarshal(m.Data, &at); {
	case err != nil:
		return nil, 0, fmt.Errorf("cluster/nats: get %s: %w", key, err)
	case at.Error != nil && at.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, 0, nil
	case at.Error != nil:
		return nil, 0, b.failed("get", key, at.Error)
	case at.Message == nil:
		return nil, 0, fmt.Errorf("cluster/nats: get %s: an answer without a message", key)
	}
	return at.Message.Data, at.Message.Seq, nil // a key that was removed has no data
}

// Put implements cluster.Bus.
func (b *Bus) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	subject, _ := b.split(key)
	m := nats.NewMsg(subject)
	m.Data = value
	if len(value) == 0 {
		m.Header.Set("KV-Operation", "DEL")
	}
	ack, err := b.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(rev))
	var no *jetstream.APIError
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.As(err, &no) && strings.Contains(no.Description, "wrong last sequence"):
		return 0, cluster.ErrConflict
	}
	return 0, b.failed("put", key, err)
}

// failed says what has failed, and why if that is known.
func (b *Bus) failed(what, key string, err error) error {
	why := b.log.lasting()
	switch last := b.nc.LastError(); {
	case why != nil:
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		why = ErrForgotten
	case !b.nc.IsConnected() && last != nil:
		why = fmt.Errorf("%w: %w", nats.ErrDisconnected, last)
	case !b.nc.IsConnected():
		why = nats.ErrDisconnected
	}
	if why != nil {
		return fmt.Errorf("cluster/nats: %s %s: %w: %w", what, key, err, why)
	}
	return fmt.Errorf("cluster/nats: %s %s: %w", what, key, err)
}

// anew begins every watch anew: the connection was away.
func (b *Bus) anew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for restart := range b.watches {
		select {
		case restart <- struct{}{}:
		default:
		}
	}
}

// Watch implements cluster.Bus.
func (b *Bus) Watch(ctx context.Context, bucket string, changed func(string, []byte, uint64), blind func()) error {
	restart := make(chan struct{}, 1)
	b.mu.Lock()
	b.watches[restart] = true
	b.mu.Unlock()
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watches, restart)
	})
	w, err := b.watchOnce(ctx, bucket, changed)
	if err != nil {
		return err
	}
	go func() { // ends with ctx
		var said rarely
		for !b.follow(ctx, w, restart, changed) {
			blind()
			for {
				if w, err = b.watchOnce(ctx, bucket, changed); err == nil {
					break
				}
				if ctx.Err() != nil {
					return
				}
				if said.now() {
					b.cfg.Logger.Warn("the directory can't be watched", "bucket", bucket, "error", b.failed("watch", bucket, err))
				}
				pause(ctx, 500*time.Millisecond)
			}
			blind()
		}
	}()
	return nil
}

// watchOnce begins to watch, and tells what is there.
func (b *Bus) watchOnce(ctx context.Context, bucket string, changed func(string, []byte, uint64)) (jetstream.KeyWatcher, error) {
	try, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	kv, err := b.js.KeyValue(try, b.bucket(bucket))
	if err != nil {
		return nil, err
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, err
	}
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok || e == nil {
				return w, nil
			}
			tell(e, changed)
		case <-try.Done():
			_ = w.Stop()
			return nil, try.Err()
		}
	}
}

func tell(e jetstream.KeyValueEntry, changed func(string, []byte, uint64)) {
	if e.Operation() == jetstream.KeyValuePut {
		changed(e.Key(), e.Value(), e.Revision())
	}
}

// follow tells changes until the watch must begin anew, or is over.
func (b *Bus) follow(ctx context.Context, w jetstream.KeyWatcher, restart <-chan struct{}, changed func(string, []byte, uint64)) (over bool) {
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return ctx.Err() != nil
			}
			if e != nil {
				tell(e, changed)
			}
		case <-restart:
			return false
		case <-ctx.Done():
			return true
		}
	}
}

func (b *Bus) subject(name string) string { return b.cfg.Name + ".n." + name }

// Serve implements cluster.Bus.
func (b *Bus) Serve(ctx context.Context, name string, answer func([]byte) []byte) error {
	sub, err := b.nc.Subscribe(b.subject(name), func(m *nats.Msg) {
		go func() { // ends with the answer
			if a := answer(m.Data); a != nil {
				_ = m.Respond(a)
			}
		}()
	})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	return b.nc.FlushTimeout(5 * time.Second)
}

// Ask implements cluster.Bus.
func (b *Bus) Ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	for !b.nc.IsConnected() && !b.nc.IsClosed() { // else it is kept, and received when its answer is not waited for any more
		if !pause(ctx, 10*time.Millisecond) {
			return nil, fmt.Errorf("%w: %w", cluster.ErrNoServer, nats.ErrDisconnected)
		}
	}
	m, err := b.nc.RequestWithContext(ctx, b.subject(name), question)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: %w", cluster.ErrNoServer, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", cluster.ErrNoAnswer, err)
	}
	return m.Data, nil
}

func (b *Bus) topic(subject string) string { return b.cfg.Name + ".t." + subject }

// Subscribe implements cluster.Bus.
func (b *Bus) Subscribe(ctx context.Context, subject string, heard func([]byte)) error {
	sub, err := b.nc.Subscribe(b.topic(subject), func(m *nats.Msg) { heard(m.Data) })
	if err != nil {
		return fmt.Errorf("cluster/nats: subscribe to %s: %w", subject, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	return b.nc.FlushTimeout(5 * time.Second)
}

// Publish implements cluster.Bus. While the connection is away some of it waits.
func (b *Bus) Publish(subject string, message []byte) error {
	if err := b.nc.Publish(b.topic(subject), message); err != nil {
		return fmt.Errorf("cluster/nats: publish to %s: %w", subject, err)
	}
	return nil
}
