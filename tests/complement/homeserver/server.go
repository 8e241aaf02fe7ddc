package homeserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	clientPort     = "8008"
	federationPort = "8448"
	pollInterval   = 20 * time.Millisecond
	killTimeout    = 10 * time.Second
)

// Options are what one server is started with, each time that it is started.
type Options struct {
	// The server's name, and by which the others of its deployment reach it.
	Name      string
	Names     *Names
	Authority Authority
	// The program and its arguments.
	Command []string
	// Application service registrations, YAML, by id.
	Registrations map[string]string
	// How long a start, and an orderly stop, may last.
	Timeout time.Duration
}

// Server is one homeserver: a folder and an address that last, and a process while it runs.
type Server struct {
	options Options
	address string
	folder  string

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
}

// Create makes a server that does not run yet: its address and name, its files.
func (n *Network) Create(options Options) (*Server, error) {
	folder, err := n.newFolder(options.Name)
	if err != nil {
		return nil, err
	}
	server := &Server{options: options, address: n.takeAddress(), folder: folder}
	if err := options.Authority.writeCertificates(options.Name, folder); err != nil {
		return nil, err
	}
	registrations := server.path("appservices")
	if err := os.MkdirAll(registrations, 0o755); err != nil {
		return nil, err
	}
	number := 0
	for _, registration := range options.Registrations {
		number++
		file := filepath.Join(registrations, fmt.Sprintf("%d.yaml", number))
		if err := os.WriteFile(file, []byte(registration), 0o600); err != nil {
			return nil, err
		}
	}
	return server, options.Names.add(options.Name, server.address)
}

// ClientURL is where clients reach the server. It is the same after each start.
func (s *Server) ClientURL() string { return "http://" + net.JoinHostPort(s.address, clientPort) }

// FederationURL is where other servers reach the server.
func (s *Server) FederationURL() string {
	return "https://" + net.JoinHostPort(s.address, federationPort)
}

// Start starts the server over what it had stored, and waits until it answers on both ports.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return fmt.Errorf("%s runs already", s.options.Name)
	}
	log, err := os.OpenFile(s.path("server.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	process, err := spawn(s.options.Command, s.options.Names, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), s.variables()...)
		cmd.Stdout = log
		cmd.Stderr = log
	})
	if err != nil {
		return fmt.Errorf("%s cannot be started: %w", s.options.Name, err)
	}
	ended := make(chan struct{})
	go func() {
		// How it ended does not matter here: who needs it to run finds that it does not.
		_ = process.Wait()
		close(ended)
	}()
	s.process, s.ended = process, ended
	if err := s.waitUntilUp(); err != nil {
		s.kill()
		return fmt.Errorf("%s did not start: %w\n%s", s.options.Name, err, s.LogTail(60))
	}
	return nil
}

// Stop asks the server to end, and kills it when it has not ended in time.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	// To the process alone, as a container engine does; its children are its own affair.
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
	case <-time.After(s.options.Timeout):
	}
	return s.kill()
}

// Kill ends the server as a power cut would.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kill()
}

// Pause stops the server's processes where they are, and waits until the last thread has stopped; the system still takes
// connections for it.
func (s *Server) Pause() error {
	if err := s.signalGroup(syscall.SIGSTOP); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for deadline := time.Now().Add(killTimeout); s.process != nil && !isGroupStopped(s.process.Process.Pid); {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not paused after %v", s.options.Name, killTimeout)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// Unpause lets the server's processes go on.
func (s *Server) Unpause() error { return s.signalGroup(syscall.SIGCONT) }

// LogTail is the end of what the server has printed.
func (s *Server) LogTail(lines int) string {
	content, err := os.ReadFile(s.path("server.log"))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) variables() []string {
	return []string{
		"SERVER_NAME=" + s.options.Name,
		"BIND=" + s.address,
		"PORT=" + clientPort,
		"FEDERATION_PORT=" + federationPort,
		"TLS_CERT=" + s.path("tls.crt"),
		"TLS_KEY=" + s.path("tls.key"),
		"TRUSTED_CA=" + s.path("ca.crt"),
		"DATA_DIR=" + s.path("data"),
		"APPSERVICE_DIR=" + s.path("appservices"),
		"PUBLIC_BASEURL=" + s.ClientURL(),
		"REGISTRATION=open",
		"REGISTRATION_SHARED_SECRET=complement",
		"RATE_LIMITS=off",
		"FEDERATION_ALLOW_PRIVATE_NETWORK=true",
		"DNS_OVER_HTTPS=off",
		// The suite makes rooms without a version and then has their creators in the power levels, as up to version 11.
		"DEFAULT_ROOM_VERSION=11",
	}
}

func (s *Server) waitUntilUp() error {
	deadline := time.Now().Add(s.options.Timeout)
	for {
		err := s.isUp()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not up after %v: %w", s.options.Timeout, err)
		}
		select {
		case <-s.ended:
			return errors.New("it ended")
		case <-time.After(pollInterval):
		}
	}
}

func (s *Server) isUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(s.address, federationPort))
	if err != nil {
		return err
	}
	connection.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ClientURL()+"/_matrix/client/versions", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/versions answers %s", response.Status)
	}
	return nil
}

// kill leaves no process of the server's group behind.
func (s *Server) kill() error {
	if s.process == nil {
		return nil
	}
	group := -s.process.Process.Pid
	deadline := time.Now().Add(killTimeout)
	for {
		// Sent again until nobody is there to get it: a process may have been about to make another.
		err := syscall.Kill(group, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: its processes do not end (%v)", s.options.Name, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	<-s.ended
	s.process, s.ended = nil, nil
	return nil
}

func (s *Server) signalGroup(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return fmt.Errorf("%s does not run", s.options.Name)
	}
	return syscall.Kill(-s.process.Process.Pid, signal)
}
