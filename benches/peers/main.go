// Times Argo CD's gitops-engine diff over pairs of objects: one JSON line a pair, {"desired": ..., "live": ...}, from a file.
// Prints one JSON line: nanoseconds a pair from text to verdict and from parsed objects to verdict, and which pairs it calls modified.
//
// usage: peers FILE ROUNDS
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"time"

	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type pair struct {
	Desired json.RawMessage `json:"desired"`
	Live    json.RawMessage `json:"live"`
}

func parse(text []byte) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &object.Object); err != nil {
		panic(err)
	}
	return object
}

func verdict(desired, live *unstructured.Unstructured) bool {
	result, err := diff.Diff(desired, live, diff.WithLogr(logr.Discard()))
	if err != nil {
		panic(err)
	}
	return result.Modified
}

func median(all []float64) float64 {
	sort.Float64s(all)
	return all[len(all)/2]
}

func main() {
	runtime.GOMAXPROCS(1)
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	rounds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	var pairs []pair
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var p pair
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			panic(err)
		}
		// RawMessage aliases the scanner's buffer.
		pairs = append(pairs, pair{append(json.RawMessage{}, p.Desired...), append(json.RawMessage{}, p.Live...)})
	}
	var fromText, fromParsed []float64
	modified := make([]bool, len(pairs))
	for round := 0; round <= rounds; round++ {
		begun := time.Now()
		for n, p := range pairs {
			modified[n] = verdict(parse(p.Desired), parse(p.Live))
		}
		text := float64(time.Since(begun).Nanoseconds()) / float64(len(pairs))
		type both struct{ desired, live *unstructured.Unstructured }
		parsed := make([]both, len(pairs))
		for n, p := range pairs {
			parsed[n] = both{parse(p.Desired), parse(p.Live)}
		}
		begun = time.Now()
		for _, p := range parsed {
			verdict(p.desired, p.live)
		}
		// The first round warms up.
		if round > 0 {
			fromText = append(fromText, text)
			fromParsed = append(fromParsed, float64(time.Since(begun).Nanoseconds())/float64(len(pairs)))
		}
	}
	out, _ := json.Marshal(map[string]any{"text_ns": median(fromText), "parsed_ns": median(fromParsed), "modified": modified})
	fmt.Println(string(out))
}
