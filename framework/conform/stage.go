// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport"
)

// stage is where one script is played to a program over real sockets. The
// client's clock goes speed times faster than ours, so that hours are minutes. One
// goroutine owns it.
type stage struct {
	o       *options
	w       *wire
	p       *process // nil: no client yet
	begun   time.Time
	virtual time.Duration // the script's time
	early   time.Duration // how early things may be
	ahead   time.Duration // how late things may be, since what takes no time in a script does here
	story   story
	claims  claims

	dialed  *peer // the client opened it, and the script does not know yet
	current *peer // of the script
	dials   []*peer
	heard   map[*peer][]arrival
	gone    map[*peer]time.Time // links that the client closed
	app     []arrival           // what the program told
	answers int                 // that are due
	lead    []byte              // of a frame that saw has begun to send
	total   time.Duration       // that was advanced
	partial string              // why the rest is not played
}

// arrival is something that the client did, and when.
type arrival struct {
	line line
	k    codec.Packet
	at   time.Time
}

// cannot says why the rest of a script is not played.
func (s *stage) cannot(why string) error {
	s.partial = why
	return nil
}

// now is the script's time by the clock.
func (s *stage) now() time.Duration { return time.Since(s.begun) * time.Duration(s.o.speed) }

// clock says when a time of the script is.
func (s *stage) clock(at time.Duration) time.Time {
	return s.begun.Add(at / time.Duration(s.o.speed))
}

// elsewise are scripts that a carrier's own rules make others.
var elsewise = map[string]map[string]string{
	"kcp":       {"stuck": "the first ping is a datagram there, and no question: session/SPEC.md 5.8"},
	"plain-kcp": {"backoff": "the end of a link can't be seen there, and one that the app ends starts delays anew: session/SPEC.md 8.2"},
}

// playStage plays a script on a carrier. partial tells why not to its end.
func playStage(o *options, sc *script) (d *difference, partial string, err error) {
	if why := elsewise[o.carrier][sc.name]; why != "" {
		return nil, why, nil
	}
	w, err := listen(o.carrier)
	if err != nil {
		return nil, "", err
	}
	defer w.stop()
	s := &stage{o: o, w: w, begun: time.Now()}
	defer func() {
		if s.p != nil {
			s.p.stop()
		}
	}()
	for i := range sc.steps {
		st := &sc.steps[i]
		if err := s.do(sc.steps[i:]); err != nil {
			return nil, "", fmt.Errorf("%s: %s: %w", st.where(), short(st.command), err)
		}
		if s.partial != "" {
			return nil, fmt.Sprintf("%s: %s: %s", st.where(), short(st.command), s.partial), nil
		}
		s.story.begin(st)
		if d, err := s.judge(st); d != nil || err != nil {
			return d, "", err
		}
	}
	return s.rest(&sc.steps[len(sc.steps)-1]), "", nil
}

// --- what the client does

// pump takes the next thing that happens, or none until a time.
func (s *stage) pump(until time.Time) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	var lines chan string
	if s.p != nil {
		lines = s.p.lines
	}
	select {
	case h := <-s.w.happened:
		s.take(h)
	case l, ok := <-lines:
		if !ok {
			return errSilent
		}
		return s.told(l)
	case <-t.C:
	}
	return nil
}

// await pumps until something is so, for as long as that may take.
func (s *stage) await(so func() bool, until time.Time) (bool, error) {
	for !so() {
		if !time.Now().Before(until) {
			return false, nil
		}
		if err := s.pump(until); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *stage) take(h happening) {
	switch h.what {
	case opened:
		s.dials = append(s.dials, h.peer)
	case closed:
		if !h.peer.left {
			s.gone[h.peer] = h.at
		}
	case came:
		p, err := packetOf(h.k)
		if err != nil {
			p.body = fmt.Sprintf("%q", err)
		}
		l := line{text: "out " + p.String(), verb: "out", packet: p}
		s.heard[h.peer] = append(s.heard[h.peer], arrival{l, h.k, h.at})
	}
}

// told takes a line of the program.
func (s *stage) told(text string) error {
	if text == full {
		s.answers--
		return nil
	}
	if text == "unsupported" {
		s.partial = "the program can't"
		return nil
	}
	verb, rest, _ := strings.Cut(text, " ")
	if verb == "put" {
		verb, rest = "put off", strings.TrimPrefix(rest, "off ")
	}
	if verb == "error" {
		return fmt.Errorf("the program says: %s", rest)
	}
	s.app = append(s.app, arrival{line: line{text: text, verb: verb, rest: rest}, at: time.Now()})
	return nil
}

// tell makes the program do something, and waits until it is done.
func (s *stage) tell(command string) error {
	if s.p == nil {
		return fmt.Errorf("there is no client yet")
	}
	if err := s.p.tell(command); err != nil {
		return err
	}
	s.answers++
	ok, err := s.await(func() bool { return s.answers <= 0 }, time.Now().Add(s.o.patience))
	if err == nil && !ok {
		err = fmt.Errorf("the program did not answer %q within %v", short(command), s.o.patience)
	}
	return err
}

// --- what the script does

// do carries out the first of the steps.
func (s *stage) do(steps []step) error {
	st := &steps[0]
	switch verb := st.verb(); verb {
	case "config":
		return s.config(st.rest())
	case "random":
		d, err := time.ParseDuration(st.rest())
		if err != nil {
			return err
		}
		return s.random(d)
	case "state":
		return nil
	case "advance":
		return s.advance(st)
	case "up":
		if s.current = s.dialed; s.current == nil {
			return s.cannot("no link is on its way")
		}
		s.dialed = nil
		return nil
	case "down":
		return s.down()
	case "dropped":
		return s.drop()
	case "saw":
		return s.saw(steps)
	case "in":
		return s.in(st)
	case "send":
		return s.send(st.rest())
	case "hurry", "pause", "close", "hold":
		return s.tell(st.command)
	default:
		return s.cannot("a socket can't do that")
	}
}

// settings are what config may say, and what the program is told.
var settings = map[string]string{
	"ticket": "ticket", "info": "info", "token": "token", "maxPackets": "max-packets", "maxBytes": "max-bytes", "maxReceive": "max-receive",
	"openingTimeout": "opening-timeout", "minDelay": "min-delay", "maxDelay": "max-delay",
}

// config starts the program anew.
func (s *stage) config(text string) error {
	if s.p != nil {
		s.p.stop()
	}
	var err error
	if s.p, err = start(s.o.command); err != nil {
		return err
	}
	s.dialed, s.current, s.dials, s.app, s.answers, s.lead = nil, nil, nil, nil, 0, nil
	s.heard, s.gone = make(map[*peer][]arrival), make(map[*peer]time.Time)
	var cfg map[string]any
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	token, _ := cfg["token"].(string)
	if s.claims, err = newClaims(token); err != nil {
		return err
	}
	lines := []string{fmt.Sprintf("set address %s", s.w.addr()), fmt.Sprintf("set speed %d", s.o.speed)}
	if key := s.w.PublicKey(); key != "" {
		lines = append(lines, "set key "+key)
	}
	for name, value := range cfg {
		lines = append(lines, fmt.Sprintf("set %s %v", settings[name], value))
	}
	for _, l := range append(lines, fmt.Sprintf("random %d", s.story.random.Nanoseconds())) {
		if err := s.tell(l); err != nil || s.partial != "" {
			return err
		}
	}
	if s.virtual == 0 {
		s.begun = time.Now() // programs take a while to start
	}
	return s.tell("open")
}

// random sets the program's, which outlives it.
func (s *stage) random(d time.Duration) error {
	if s.story.random = d; s.p == nil {
		return nil
	}
	return s.tell(fmt.Sprintf("random %d", d.Nanoseconds()))
}

// mostDialing is how long a script may leave a client whose dial a socket has
// answered long since, before its opening deadline.
const mostDialing = 4 * time.Second

func (s *stage) advance(st *step) error {
	d, err := time.ParseDuration(st.rest())
	if err != nil {
		return err
	}
	s.total += d
	switch {
	case s.dialed != nil && d > mostDialing:
		return s.cannot("a socket does not let a client dial for so long")
	case s.total > s.o.longest:
		return s.cannot(fmt.Sprintf("it takes longer than %v", s.o.longest))
	}
	s.ahead = max(s.now()-s.virtual, s.ahead)
	s.virtual += d
	return nil
}

// down breaks the link.
func (s *stage) down() error {
	k := cmp.Or(s.current, s.dialed)
	s.current, s.dialed, s.lead = nil, nil, nil
	if k == nil {
		return s.cannot("there is no link")
	}
	if s.w.carrier == transport.PlainKCP { // which has no end that the client could see
		k.left = true
		return s.tell("cut")
	}
	k.leave()
	return nil
}

// drop makes the app leave its link.
func (s *stage) drop() error {
	if k := cmp.Or(s.current, s.dialed); k != nil {
		k.left = true
	}
	s.current, s.dialed, s.lead = nil, nil, nil
	return s.tell("cut")
}

// saw sends the first byte of what comes next.
func (s *stage) saw(steps []step) error {
	if s.w.carrier == transport.WebSocket || s.w.carrier == transport.SealedTCP || s.current == nil {
		return s.cannot("this carrier has no half frames")
	}
	next := codec.AppendFrame(nil, codec.Header{}, nil)
	for i := range steps[1:] {
		switch st := &steps[i+1]; st.verb() {
		case "in":
			b, err := s.frames(st.rest())
			if err != nil {
				return err
			}
			next = b
		case "advance", "random", "state", "send":
			continue
		}
		break
	}
	s.lead = next[:1]
	s.current.write(s.lead)
	time.Sleep(s.o.settle)
	return nil
}

var elsewhere = regexp.MustCompile(`(ws|tcp)://[a-z]:1`)

// frames makes of a packet of the script what is sent.
func (s *stage) frames(text string) ([]byte, error) {
	p, err := parsePacket(elsewhere.ReplaceAllString(text, s.w.addr()))
	if err != nil {
		return nil, err
	}
	p.body = s.claims.translate(p)
	list, err := p.packets()
	var b []byte
	for _, k := range list {
		b = codec.AppendFrame(b, k.Header, k.Body)
	}
	return b, err
}

// in sends packets to the client.
func (s *stage) in(st *step) error {
	if s.current == nil || s.current.left {
		return s.cannot("there is no link")
	}
	if _, over := s.gone[s.current]; over {
		return s.cannot("the client has closed the link")
	}
	b, err := s.frames(st.rest())
	if err != nil {
		return err
	}
	p, err := parsePacket(st.rest())
	if err != nil {
		return err
	}
	if p.kind == codec.Welcome {
		s.claims.welcome(p.body)
	}
	if p.kind == codec.Greeting && !s.story.greeted {
		s.claims.greeting(p.body, s.current.nonce)
		if s.w.sealed() {
			if !strings.HasPrefix(p.body, "[1,") {
				return s.cannot("a sealed link has greeted by itself")
			}
			return nil
		}
	}
	s.current.write(b[len(s.lead):])
	s.lead = nil
	if len(st.want) == 0 {
		time.Sleep(s.o.settle) // so that what comes by another way comes later
	}
	return nil
}

// send makes the app send a message, or ask.
func (s *stage) send(text string) error {
	p, err := parsePacket(text)
	if err != nil {
		return err
	}
	if p.kind == codec.Request {
		route, payload := envelope(p.body, 1)
		return s.tell("request " + route + " " + payload)
	}
	route, payload := envelope(p.body, 0)
	return s.tell("send " + route + " " + payload)
}

// envelope takes the route, the i-th element, and the payload behind it out of
// a body.
func envelope(body string, i int) (route, payload string) {
	_ = json.Unmarshal([]byte(field(body, i)), &route)
	b, _ := bodyBytes(field(body, i+1))
	return route, cmp.Or(hex.EncodeToString(b), "-")
}

// --- what is expected

// judge holds what the client does against what a step says.
func (s *stage) judge(st *step) (*difference, error) {
	s.early = 0
	if slices.ContainsFunc(st.want, func(text string) bool { return strings.HasSuffix(text, " stuck") }) {
		s.early = looks
	}
	for _, text := range st.want {
		want, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.where(), err)
		}
		got, err := s.line(&want)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.where(), err)
		}
		if got != nil && got.text == want.text {
			s.story.did(&want)
			continue
		}
		d := &difference{step: st, want: want.text, rule: s.story.broke(st, &want, got)}
		if got != nil {
			d.got = got.text
		}
		return d, nil
	}
	if st.verb() == "advance" {
		_, err := s.await(func() bool { return false }, s.clock(s.virtual))
		return nil, err
	}
	return nil, nil
}

// looks is how much earlier than in a script a stuck link may be left: a script's
// client looks when a ping is due, and others whenever they do anything, 5.6.
const looks = 11 * time.Second

// states are the first words of lines of the command state, which asks what no
// app can.
var states = []string{"waiting", "dialing", "opening", "open", "paused", "ended", "at"}

// line waits for what is expected, and returns what came: in the words of what was
// expected, if it is that.
func (s *stage) line(want *line) (*line, error) {
	until := time.Now().Add(s.o.reaction)
	if want.timed {
		until = s.clock(want.at + s.ahead).Add(s.o.slop).Add(s.o.reaction)
	}
	var got *arrival
	var err error
	switch {
	case slices.Contains(states, want.verb):
		return want, nil
	case want.verb == "dial":
		got, err = s.dial(until)
	case want.verb == "cut" || want.verb == "broken":
		got, err = s.closing(want, until)
	case want.verb == "out":
		return s.out(want, until)
	case want.verb == "deliver":
		for range want.packet.to - want.packet.from {
			if got, err = s.news(want, until); err != nil || got == nil || got.line.text != want.text {
				break
			}
		}
		got, err = s.news(want, until)
	default:
		got, err = s.news(want, until)
	}
	if got == nil || err != nil {
		return nil, err
	}
	return s.onTime(want, got), nil
}

// onTime gives what came the words of what was expected, if the times are near
// each other, and else its own time.
func (s *stage) onTime(want *line, got *arrival) *line {
	l := got.line
	if !want.timed {
		return &l
	}
	at := got.at.Sub(s.begun) * time.Duration(s.o.speed)
	slop := s.o.slop * time.Duration(s.o.speed)
	if l.at, l.timed = at.Round(10*time.Millisecond), true; want.at-s.early-slop <= at && at <= want.at+s.ahead+slop {
		late := min(max(at-want.at, 0), s.ahead) // and so will be what depends on it
		s.begun, s.ahead = s.begun.Add(late/time.Duration(s.o.speed)), s.ahead-late
		l.at = want.at
	}
	text := strings.TrimPrefix(want.text, stamp.FindStringSubmatch(want.text)[1]+"s ")
	if l.text != text {
		l.text = fmt.Sprintf("%vs %s", at.Seconds(), l.text)
	} else if l.text = want.text; l.at != want.at {
		l.text = fmt.Sprintf("%.2fs %s", l.at.Seconds(), text)
	}
	return &l
}

func (s *stage) dial(until time.Time) (*arrival, error) {
	ok, err := s.await(func() bool { return len(s.dials) > 0 }, until)
	if !ok || err != nil {
		return nil, err
	}
	s.dialed, s.dials = s.dials[0], s.dials[1:]
	return &arrival{line: line{text: "dial", verb: "dial"}, at: time.Now()}, nil
}

// closing waits until the client has closed its link.
func (s *stage) closing(want *line, until time.Time) (*arrival, error) {
	k := cmp.Or(s.current, s.dialed)
	if k == nil { // a link of old
		return s.seen(want, s.clock(want.at)), nil
	}
	if s.w.carrier == transport.PlainKCP || s.w.carrier == transport.KCP { // datagrams need not tell that they end
		k.left = true
		s.current, s.dialed, s.lead = nil, nil, nil
		return s.seen(want, s.clock(want.at)), nil
	}
	ok, err := s.await(func() bool { _, over := s.gone[k]; return over }, until)
	if !ok || err != nil {
		return nil, err
	}
	s.current, s.dialed, s.lead = nil, nil, nil
	return s.seen(want, s.gone[k]), nil
}

// seen is what was expected, at a time.
func (s *stage) seen(want *line, at time.Time) *arrival {
	l := *want
	if want.timed {
		l.text = stamp.FindStringSubmatch(want.text)[2]
	}
	return &arrival{line: l, at: at}
}

// news waits for what the app is told.
func (s *stage) news(want *line, until time.Time) (*arrival, error) {
	ok, err := s.await(func() bool { return len(s.app) > 0 }, until)
	if !ok || err != nil {
		return nil, err
	}
	got := s.app[0]
	s.app = s.app[1:]
	if plain := told(want); got.line.text == plain || strings.HasPrefix(got.line.text, plain+" ") {
		got.line.text = want.text
		if want.timed {
			got.line.text = stamp.FindStringSubmatch(want.text)[2]
		}
	}
	return &got, nil
}

// told is what a program has to say of a line: a word, and a code where there is one.
func told(want *line) string {
	switch want.verb {
	case "deliver", "undelivered":
		i := 0
		if want.packet.kind == codec.Request {
			i = 1
		}
		route, payload := envelope(want.packet.body, i)
		return want.verb + " " + route + " " + payload
	case "moving":
		return want.verb
	}
	code, _, _ := strings.Cut(want.rest, " ")
	return strings.TrimSpace(want.verb + " " + code)
}

// out waits for the packets of a line.
func (s *stage) out(want *line, until time.Time) (*line, error) {
	k := s.current
	if k == nil {
		return nil, nil
	}
	for seq := want.packet.from; seq <= want.packet.to; seq++ {
		one := *want
		one.packet.from, one.packet.to = seq, seq
		ok, err := s.await(func() bool { s.forget(k, want.packet.kind); return len(s.heard[k]) > 0 }, until)
		if !ok || err != nil {
			return nil, err
		}
		got := s.heard[k][0]
		s.heard[k], k.spoke = s.heard[k][1:], true
		got.line.packet.body = s.claims.settle(&one.packet, &got.line.packet, got.k)
		got.line.text = "out " + got.line.packet.String()
		plain := "out " + one.packet.String()
		if got.line.text != plain {
			return s.onTime(&one, &got), nil
		}
		if seq == want.packet.to {
			got.line.text = "out " + want.packet.String()
			return s.onTime(want, &got), nil
		}
	}
	return nil, nil
}

// forget drops heartbeats that a client may write where a script has none: those
// that open a link of plain KCP, and the question before a goodbye.
func (s *stage) forget(k *peer, want codec.Kind) {
	for list := s.heard[k]; len(list) > 0 && list[0].k.Kind == codec.Heartbeat; list = s.heard[k] {
		knock := s.w.carrier == transport.PlainKCP && !k.spoke
		if !knock && want != codec.Bye {
			return
		}
		s.heard[k] = list[1:]
	}
}

// rest looks for what a client did that no line expects.
func (s *stage) rest(last *step) *difference {
	_, _ = s.await(func() bool { return false }, time.Now().Add(s.o.settle))
	var got []line
	if s.current != nil {
		s.forget(s.current, codec.Heartbeat)
		for _, a := range s.heard[s.current] {
			if a.line.packet.kind != codec.Heartbeat { // time goes on
				got = append(got, a.line)
			}
		}
	}
	for _, a := range s.app {
		got = append(got, a.line)
	}
	if len(s.dials) > 0 && s.story.ended {
		got = append(got, line{text: "dial", verb: "dial"})
	}
	if len(got) == 0 {
		return nil
	}
	return &difference{step: last, got: got[0].text, rule: s.story.broke(last, nil, &got[0])}
}
