// SPDX-License-Identifier: MIT

// Command cases writes random messages for the tests of generated code: a line for
// each, with the type's name in Go and the bytes that Go writes, in hex. A client
// that reads and writes them must get the same bytes.
//
//	go run ./framework/gen/internal/cases -n 10000
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"reflect"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/examples/room/swarm"
	"github.com/lifeline-go/lifeline/framework/gen/internal/sample"
)

func main() {
	n := flag.Int("n", 10_000, "values of each type")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	flag.Parse()
	w := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(w, "seed", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	for _, of := range []struct {
		narrow bool // its int64 are numbers in TypeScript, too
		types  []reflect.Type
	}{
		{true, []reflect.Type{
			reflect.TypeFor[swarm.Seat](), reflect.TypeFor[swarm.View](), reflect.TypeFor[swarm.Name](), reflect.TypeFor[swarm.Move](),
			reflect.TypeFor[swarm.Chat](), reflect.TypeFor[swarm.State](), reflect.TypeFor[swarm.Spot](),
		}},
		{false, []reflect.Type{
			reflect.TypeFor[sample.Numbers](), reflect.TypeFor[sample.Options](), reflect.TypeFor[sample.Parts](), reflect.TypeFor[sample.Tree](),
			reflect.TypeFor[sample.Hero](), reflect.TypeFor[sample.Reader](), reflect.TypeFor[sample.Empty](),
		}},
	} {
		source := sample.Source{Rand: rng, Narrow: of.narrow}
		for _, t := range of.types {
			for range *n {
				b, err := codec.AppendBody(nil, source.Value(t).Interface())
				if err != nil {
					log.Fatal(err)
				}
				fmt.Fprintf(w, "%s %x\n", t, b)
			}
		}
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
}
