// SPDX-License-Identifier: MIT

package framework

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/admin"
)

// The playground is a page of the inspector with a client of its own: it logs in over WebSocket, by
// the game's own hook, and asks the server to turn JSON into the type of a route, and back.

// maxPlayed bounds what the page sends at once, in bytes.
const maxPlayed = 1 << 20

// playRoute is what the page knows of a route.
type playRoute struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"` // message, request, built in; empty: clients do not send on it
	Room   string `json:"room,omitempty"`
	Sent   string `json:"sent,omitempty"`   // the type that the server sends on it
	Type   string `json:"type,omitempty"`   // that clients send
	Answer string `json:"answer,omitempty"` // type
	Sample string `json:"sample,omitempty"` // JSON of the type's zero value
}

// playground tells the page what there is to play with.
func (a adminPages) playground(w http.ResponseWriter, _ *http.Request) {
	game := struct {
		Port   uint16      `json:"port"` // of WebSocket, 0: it is not served
		Path   string      `json:"path"`
		Rooms  []string    `json:"rooms"`
		Routes []playRoute `json:"routes"`
	}{Path: a.srv.cfg.WebSocketPath, Rooms: slices.Sorted(maps.Keys(a.srv.kinds)), Routes: []playRoute{}}
	if a.srv.cfg.WebSocket != "" {
		game.Port = a.srv.Addr(WebSocket).Port()
	}
	for _, r := range a.srv.Routes() {
		game.Routes = append(game.Routes, r.played())
	}
	admin.WriteJSON(w, game)
}

func (r *Route) played() playRoute {
	p := playRoute{Name: r.name}
	t := r.types.Message
	switch {
	case r.handled() && r.reply && r.serve == nil:
		p.Kind = "built in"
	case r.handled() && r.reply:
		p.Kind, t = "request", r.types.Question
	case r.handled():
		p.Kind = "message"
	}
	if r.room != nil {
		p.Room = r.room.name
	}
	p.Type, p.Answer, p.Sent = typeName(t), typeName(r.types.Answer), typeName(r.types.Push)
	if t != nil {
		if b, err := json.Marshal(reflect.New(t).Interface()); err == nil {
			p.Sample = string(b)
		}
	}
	return p
}

func typeName(t reflect.Type) string {
	if t == nil {
		return ""
	}
	return t.String()
}

// played finds the route of a request, and the type of what travels on it that way. An untyped one is
// any.
func (a adminPages) played(r *http.Request) (reflect.Type, error) {
	route := a.srv.routes[r.URL.Query().Get("route")]
	if route == nil {
		return nil, fmt.Errorf("no route %q", r.URL.Query().Get("route"))
	}
	types := map[string]reflect.Type{"message": route.types.Message, "request": route.types.Question, "answer": route.types.Answer, "push": route.types.Push}
	what := r.URL.Query().Get("what")
	t, known := types[what]
	if !known {
		return nil, fmt.Errorf("what=%q is none of message, request, answer, push", what)
	}
	if t == nil || t == reflect.TypeFor[codec.Raw]() {
		t = reflect.TypeFor[any]()
	}
	return t, nil
}

// encode turns JSON into the payload of a route.
func (a adminPages) encode(w http.ResponseWriter, r *http.Request) {
	t, err := a.played(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	v := reflect.New(t)
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPlayed))
	d.DisallowUnknownFields()
	if err = d.Decode(v.Interface()); err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one JSON value")
		}
	}
	var b []byte
	if err == nil {
		b, err = codec.AppendBody(nil, v.Interface())
	}
	if err != nil {
		http.Error(w, fmt.Sprintf("%v: want %v as JSON", err, t), http.StatusBadRequest)
		return
	}
	admin.WriteJSON(w, base64.StdEncoding.EncodeToString(b))
}

// decode turns a payload of a route into JSON.
func (a adminPages) decode(w http.ResponseWriter, r *http.Request) {
	t, err := a.played(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(base64.NewDecoder(base64.StdEncoding, http.MaxBytesReader(w, r.Body, 2*maxPlayed)))
	v := reflect.New(t)
	if err == nil {
		err = codec.DecodeBody(b.Bytes(), v.Interface())
	}
	var text []byte
	if err == nil {
		text, err = json.Marshal(v.Interface())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}
