// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// The files of framework/deploy start this server. They are tested here, where it is linked anyway.
const deploy = "../../framework/deploy/"

// command is the server, as a process with these arguments.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "LIFELINE_ROOM=1")
	return cmd
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(deploy + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents are those of a YAML file. Unknown or repeated keys of its own are errors of the parser.
func documents(t *testing.T, file string) (all []map[string]any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, file)))
	for {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, doc)
	}
}

// at walks into a document. Numbers are indexes.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				t.Fatalf("%v has no %d", path, key)
			}
			v = l[key]
		}
		if v == nil {
			t.Fatalf("no %v of %v", step, path)
		}
	}
	return v
}

func texts(v any) (list []string) {
	for _, one := range v.([]any) {
		list = append(list, one.(string))
	}
	return list
}

// starts are the arguments that each file starts the server with, and how long it may take to end.
func starts(t *testing.T) (args map[string][]string, ends map[string]time.Duration) {
	t.Helper()
	args, ends = map[string][]string{}, map[string]time.Duration{}
	if !regexp.MustCompile(`(?m)^RUN CGO_ENABLED=0 go build .* -o /out/room \./examples/room$`).MatchString(read(t, "Dockerfile")) {
		t.Error("the Dockerfile does not build the server") // .ci/run does it by the same line
	}
	var cmd []string
	docker := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindStringSubmatch(read(t, "Dockerfile"))
	if docker == nil || json.Unmarshal([]byte(docker[1]), &cmd) != nil {
		t.Fatal("the Dockerfile starts nothing")
	}
	args["Dockerfile"] = cmd
	unit := read(t, "lifeline.service")
	args["lifeline.service"] = strings.Fields(regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(unit)[1])[1:]
	d, err := time.ParseDuration(regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(unit)[1] + "s")
	if err != nil {
		t.Fatal(err)
	}
	ends["lifeline.service"] = d
	service := at(t, documents(t, "compose.yaml")[0], "services", "room")
	args["compose.yaml"] = texts(at(t, service, "command"))
	if ends["compose.yaml"], err = time.ParseDuration(at(t, service, "stop_grace_period").(string)); err != nil {
		t.Fatal(err)
	}
	for name, service := range at(t, documents(t, "compose-cluster.yaml")[0], "services").(map[string]any) {
		file := "compose-cluster.yaml " + name
		args[file] = texts(at(t, service, "command"))
		if ends[file], err = time.ParseDuration(at(t, service, "stop_grace_period").(string)); err != nil {
			t.Fatal(err)
		}
	}
	for file, pod := range map[string]any{
		"kubernetes.yaml": at(t, documents(t, "kubernetes.yaml")[1], "spec", "template", "spec"),
		"agones.yaml":     at(t, documents(t, "agones.yaml")[0], "spec", "template", "spec", "template", "spec"),
	} {
		args[file] = texts(at(t, pod, "containers", 0, "args"))
		ends[file] = time.Duration(at(t, pod, "terminationGracePeriodSeconds").(int)) * time.Second
	}
	return args, ends
}

func value(args []string, name string) string {
	if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// TestTheServerTakesItsArguments: each file starts the server with flags that it has, and leaves it
// time to let its players go.
func TestTheServerTakesItsArguments(t *testing.T) {
	probes(t)
	args, ends := starts(t)
	if len(args) != 8 || len(ends) != 7 {
		t.Errorf("%d files with arguments, %d with a time to end", len(args), len(ends))
	}
	for file, list := range args {
		if out, err := command(append(slices.Clone(list), "-routes")...).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("room.join")) {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
		drain, err := time.ParseDuration(value(list, "-drain"))
		if err != nil || drain == 0 {
			t.Errorf("%s drains for %v: %v", file, drain, err)
		}
		if end, ok := ends[file]; ok && end < drain+10*time.Second {
			t.Errorf("%s kills after %v: the drain takes %v and ten seconds", file, end, drain)
		}
	}
}

// TestArgumentsThatAreNoFlags: what follows such a one would not be read, addresses and all.
func TestArgumentsThatAreNoFlags(t *testing.T) {
	out, err := command("-routes", "-demo", "false", "-tcp", "0.0.0.0:7777").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(`"false" is no flag`)) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAFleetHasOneKey: a client is told by the game's backend which of the servers to dial, and
// knows them all by the same key.
func TestAFleetHasOneKey(t *testing.T) {
	args, _ := starts(t)
	pod := at(t, documents(t, "agones.yaml")[0], "spec", "template", "spec", "template", "spec")
	mount, volume := at(t, pod, "containers", 0, "volumeMounts", 0), at(t, pod, "volumes", 0)
	if at(t, mount, "name") != at(t, volume, "name") || at(t, volume, "secret", "secretName") == "" {
		t.Errorf("%v mounts no Secret: %v", mount, volume)
	}
	if dir := filepath.ToSlash(filepath.Dir(value(args["agones.yaml"], "-key"))); dir != at(t, mount, "mountPath") {
		t.Errorf("the key is in %q, the Secret at %v", dir, at(t, mount, "mountPath"))
	}
}

func port(args []string, flag string) string {
	_, p, _ := strings.Cut(value(args, flag), ":")
	return p
}

// listens are the ports that a server with these arguments has.
func listens(args []string) (all []string) {
	for flag, network := range map[string]string{"-kcp": "UDP", "-plain-kcp": "UDP", "-stcp": "TCP", "-tcp": "TCP", "-ws": "TCP", "-http": "TCP"} {
		all = append(all, port(args, flag)+"/"+network)
	}
	return all
}

// TestPortsAreServed: what is published is what the server listens on.
func TestPortsAreServed(t *testing.T) {
	args, _ := starts(t)
	for _, exposed := range strings.Fields(regexp.MustCompile(`(?m)^EXPOSE (.*)$`).FindStringSubmatch(read(t, "Dockerfile"))[1]) {
		if !slices.Contains(listens(args["Dockerfile"]), strings.ToUpper(exposed)) {
			t.Errorf("the Dockerfile exposes %s, which is not served", exposed)
		}
	}
	container := at(t, documents(t, "kubernetes.yaml")[1], "spec", "template", "spec", "containers", 0)
	names := map[string]int{}
	for _, p := range at(t, container, "ports").([]any) {
		number := at(t, p, "containerPort").(int)
		names[at(t, p, "name").(string)] = number
		if want := "/" + at(t, p, "protocol").(string); !slices.ContainsFunc(listens(args["kubernetes.yaml"]), func(l string) bool {
			n, network, _ := strings.Cut(l, "/")
			return "/"+network == want && n == jsonOf(number)
		}) {
			t.Errorf("kubernetes.yaml has the port %v, which is not served", p)
		}
	}
	for _, p := range at(t, documents(t, "kubernetes.yaml")[0], "spec", "ports").([]any) {
		if names[at(t, p, "targetPort").(string)] != at(t, p, "port").(int) {
			t.Errorf("the Service leads to no port: %v", p)
		}
	}
	// By default the group may write every file of the volume when a pod mounts it again, the key too.
	if at(t, documents(t, "kubernetes.yaml")[1], "spec", "template", "spec", "securityContext", "fsGroupChangePolicy") != "OnRootMismatch" {
		t.Error("the second pod would find a key that others may use")
	}
	for probe, path := range map[string]string{"readinessProbe": "/healthz", "livenessProbe": "/livez"} {
		asks := at(t, container, probe, "httpGet")
		if at(t, asks, "path") != path || jsonOf(names[at(t, asks, "port").(string)]) != port(args["kubernetes.yaml"], "-http") {
			t.Errorf("the %s asks %v", probe, asks)
		}
	}
}

// TestContainersAskTheirServer: the image has no other program, so the server's own asks /livez of
// the container's server. It tells by its exit.
func TestContainersAskTheirServer(t *testing.T) {
	args, _ := starts(t)
	found := 0
	for _, file := range []string{"compose.yaml", "compose-cluster.yaml"} {
		for name, service := range at(t, documents(t, file)[0], "services").(map[string]any) {
			list := args[file]
			if list == nil {
				list = args[file+" "+name]
			}
			found++
			want := []string{"CMD", "/room", "-probe", "http://127.0.0.1:" + port(list, "-http") + "/livez"}
			if got := texts(at(t, service, "healthcheck", "test")); !slices.Equal(got, want) {
				t.Errorf("%s of %s asks %q, want %q", name, file, got, want)
			}
		}
	}
	if found != 4 {
		t.Errorf("%d services", found)
	}
}

// probes has the server ask a server that is well, and one that is not.
func probes(t *testing.T) {
	t.Helper()
	var dead atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if dead.Load() {
			http.Error(w, "declared dead", http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	if out, err := command("-probe", srv.URL+"/livez").CombinedOutput(); err != nil {
		t.Errorf("a server that is well: %v\n%s", err, out)
	}
	dead.Store(true)
	if out, err := command("-probe", srv.URL+"/livez").CombinedOutput(); err == nil || !bytes.Contains(out, []byte("declared dead")) {
		t.Errorf("a server that is not: %v\n%s", err, out)
	}
}

// TestClusterHasPortsOfItsOwn: the servers of one machine have each port once, and one number.
func TestClusterHasPortsOfItsOwn(t *testing.T) {
	args, _ := starts(t)
	seen := map[string]string{}
	for file, list := range args {
		if !strings.HasPrefix(file, "compose-cluster.yaml") {
			continue
		}
		for _, at := range append(listens(list), "number "+value(list, "-cluster")) {
			if seen[at] != "" {
				t.Errorf("%s and %s both have %s", seen[at], file, at)
			}
			seen[at] = file
		}
	}
	if len(seen) != 3*7 {
		t.Errorf("%d ports and numbers: %v", len(seen), seen)
	}
}

func jsonOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// TestUnit lets systemd judge its unit, where it is installed.
func TestUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	self, err := os.Executable() // what stands in for the server must be there
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lifeline.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(read(t, "lifeline.service"), "/usr/local/bin/room", self)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(verify, "verify", "--man=no", file).CombinedOutput()
	if bytes.Contains(out, []byte("lifeline.service:")) {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%v %s", err, out)
}
