package homeserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This binary is the homeserver that is run, too, and a harness that is killed.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_ROLE") {
	case "homeserver":
		runFakeHomeserver()
	case "harness":
		runHarness()
	default:
		os.Exit(m.Run())
	}
}

// runFakeHomeserver answers on both ports until SIGTERM, and says what its names and files are.
func runFakeHomeserver() {
	mux := http.NewServeMux()
	mux.HandleFunc("/_matrix/client/versions", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	mux.HandleFunc("/lookup", func(w http.ResponseWriter, r *http.Request) {
		addresses, err := net.LookupHost(r.URL.Query().Get("name"))
		fmt.Fprint(w, addresses, " ", err == nil)
	})
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	bind := os.Getenv("BIND")
	go func() {
		fmt.Println(http.ListenAndServeTLS(net.JoinHostPort(bind, "8448"), os.Getenv("TLS_CERT"), os.Getenv("TLS_KEY"), mux))
	}()
	go func() { fmt.Println(http.ListenAndServe(net.JoinHostPort(bind, "8008"), mux)) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	if err := os.WriteFile(os.Getenv("DATA_DIR")+".stopped", nil, 0o600); err != nil {
		panic(err)
	}
}

// runHarness starts a server, prints its process id and waits to be killed.
func runHarness() {
	os.Setenv("TEST_ROLE", "homeserver")
	network, err := Join("suite.test")
	if err != nil {
		panic(err)
	}
	names, err := network.NewNames()
	if err != nil {
		panic(err)
	}
	server, err := network.Create(optionsFor(names, "hs1"))
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		panic(err)
	}
	fmt.Println(server.process.Process.Pid)
	select {}
}

func optionsFor(names *Names, name string) Options {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	encoded, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		panic(err)
	}
	authority := Authority{Certificate: certificate, Key: key}
	return Options{Name: name, Names: names, Authority: authority, Command: []string{os.Args[0]}, Timeout: 10 * time.Second}
}

func startTwo(t *testing.T) (*Network, *Server, *Server) {
	t.Helper()
	t.Setenv("TEST_ROLE", "homeserver")
	network, err := Join("suite.test")
	must(t, err)
	t.Cleanup(func() { must(t, network.Close()) })
	names, err := network.NewNames()
	must(t, err)
	servers := [2]*Server{}
	for i, name := range []string{"hs1", "hs2"} {
		server, err := network.Create(optionsFor(names, name))
		must(t, err)
		t.Cleanup(func() { must(t, server.Kill()) })
		must(t, server.Start())
		servers[i] = server
	}
	return network, servers[0], servers[1]
}

func TestServersSeeTheNamesOfTheirDeployment(t *testing.T) {
	network, first, second := startTwo(t)
	for name, address := range map[string]string{"hs1": first.address, "hs2": second.address, "suite.test": network.ownAddress()} {
		for _, server := range []*Server{first, second} {
			if got := get(t, server.ClientURL()+"/lookup?name="+name); got != "["+address+"] true" {
				t.Errorf("%s is %s, want %s", name, got, address)
			}
		}
	}
	started := time.Now()
	if got := get(t, first.ClientURL()+"/lookup?name=elsewhere.test"); got != "[] false" {
		t.Errorf("a name of no server: %s", got)
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("a name of no server took %v", took)
	}
	if _, err := net.LookupHost("hs1"); err == nil {
		t.Error("the name is seen outside the deployment")
	}
}

func TestCertificateIsSignedForTheName(t *testing.T) {
	_, server, _ := startTwo(t)
	roots := x509.NewCertPool()
	roots.AddCert(server.options.Authority.Certificate)
	address := strings.TrimPrefix(server.FederationURL(), "https://")
	connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "hs1"})
	must(t, err)
	connection.Close()
}

func TestStopStartPauseKill(t *testing.T) {
	_, server, other := startTwo(t)
	url := server.ClientURL()
	must(t, server.Stop())
	if _, err := os.Stat(server.path("data.stopped")); err != nil {
		t.Error("it was not stopped in order")
	}
	if err := server.isUp(); err == nil {
		t.Error("it is up after Stop")
	}
	must(t, server.Start())
	if server.ClientURL() != url {
		t.Error("the address changed")
	}
	must(t, other.Pause())
	client := http.Client{Timeout: 300 * time.Millisecond}
	if _, err := client.Get(other.ClientURL() + "/pid"); err == nil {
		t.Error("it answers while paused")
	}
	must(t, other.Unpause())
	must(t, other.isUp())
	must(t, other.Kill())
	if _, err := os.Stat(other.path("data.stopped")); err == nil {
		t.Error("Kill let it end in order")
	}
}

func TestNothingOutlivesAKilledHarness(t *testing.T) {
	harness := exec.Command(os.Args[0])
	temporary := t.TempDir()
	harness.Env = append(os.Environ(), "TEST_ROLE=harness", "TMPDIR="+temporary)
	output, err := harness.StdoutPipe()
	must(t, err)
	must(t, harness.Start())
	var pid int
	_, err = fmt.Fscan(output, &pid)
	must(t, err)
	must(t, harness.Process.Kill())
	_ = harness.Wait()
	for deadline := time.Now().Add(5 * time.Second); isAlive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server outlived the harness")
		}
	}
}

// A process that has ended and was not waited for yet counts as gone.
func isAlive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(status), ") Z ")
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return string(body)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
