// Package docker is the conformance suite's own package of that name with processes in the place of containers. These
// are all of its files but deployment.go, which stays as it is: what a test asks of a deployment ends up here.
package docker

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/matrix-org/complement/b"
	"github.com/matrix-org/complement/config"
	"github.com/matrix-org/complement/internal/instruction"

	"tessera/complement/homeserver"
)

// The command of a homeserver, a JSON list.
const commandVariable = "HOMESERVER_COMMAND"

// Lines of a server's log that are shown with a failed test.
const logLines = 60

// What one test binary runs. A deployment may be made by one Deployer and grown by another.
var running struct {
	mu         sync.Mutex
	network    *homeserver.Network
	blueprints map[string]b.Blueprint
	// By what the suite calls the container's id.
	servers map[string]*homeserver.Server
	// The names of the one deployment that is kept and grown in a dirty run.
	dirtyNames *homeserver.Names
}

// Builder makes blueprints known. Nothing is built: their instructions are carried out by each deployment's own servers.
type Builder struct {
	Config *config.Complement
}

// NewBuilder never fails: the first deployment finds out whether servers can be run.
func NewBuilder(cfg *config.Complement) (*Builder, error) {
	return &Builder{Config: cfg}, nil
}

// ConstructBlueprintIfNotExist notes what the blueprint of that name is.
func (builder *Builder) ConstructBlueprintIfNotExist(blueprint b.Blueprint) error {
	running.mu.Lock()
	defer running.mu.Unlock()
	if running.blueprints == nil {
		running.blueprints = map[string]b.Blueprint{}
	}
	running.blueprints[blueprint.Name] = blueprint
	return nil
}

// Cleanup ends all servers that are left and removes their files. The suite calls it before and after the tests.
func (builder *Builder) Cleanup() {
	running.mu.Lock()
	defer running.mu.Unlock()
	for id, server := range running.servers {
		if err := server.Kill(); err != nil {
			log.Printf("cleanup: %s", err)
		}
		delete(running.servers, id)
	}
	running.dirtyNames = nil
	if running.network == nil {
		return
	}
	if err := running.network.Close(); err != nil {
		log.Printf("cleanup: %s", err)
	}
	running.network = nil
}

// Deployer starts, stops and ends the servers of deployments.
type Deployer struct {
	config       *config.Complement
	debugLogging bool
}

// NewDeployer takes a namespace that tells containers apart; processes need none.
func NewDeployer(_ string, cfg *config.Complement) (*Deployer, error) {
	return &Deployer{config: cfg, debugLogging: cfg.DebugLoggingEnabled}, nil
}

// CreateDirtyDeployment starts the deployment that all tests of a dirty run share, with one server.
func (d *Deployer) CreateDirtyDeployment() (*Deployment, error) {
	deployment := &Deployment{Deployer: d, Dirty: true, HS: map[string]*HomeserverDeployment{}, Config: d.config}
	server, err := d.CreateDirtyServer("hs1")
	if err != nil {
		return nil, err
	}
	deployment.HS["hs1"] = server
	return deployment, nil
}

// CreateDirtyServer adds a server to that deployment.
func (d *Deployer) CreateDirtyServer(hsName string) (*HomeserverDeployment, error) {
	network, err := d.joinNetwork()
	if err != nil {
		return nil, err
	}
	running.mu.Lock()
	if running.dirtyNames == nil {
		running.dirtyNames, err = network.NewNames()
	}
	names := running.dirtyNames
	running.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return d.startNew(network, names, b.Homeserver{Name: hsName})
}

// Deploy starts servers of their own for a blueprint, and carries out its instructions.
func (d *Deployer) Deploy(_ context.Context, blueprintName string) (*Deployment, error) {
	running.mu.Lock()
	blueprint, isKnown := running.blueprints[blueprintName]
	running.mu.Unlock()
	if !isKnown {
		return nil, fmt.Errorf("nobody has told what the blueprint %s is", blueprintName)
	}
	network, err := d.joinNetwork()
	if err != nil {
		return nil, err
	}
	names, err := network.NewNames()
	if err != nil {
		return nil, err
	}
	deployment := &Deployment{
		Deployer:      d,
		BlueprintName: blueprintName,
		HS:            map[string]*HomeserverDeployment{},
		Config:        d.config,
	}
	err = d.startAll(network, names, blueprint, deployment)
	if err == nil {
		err = d.instruct(blueprint, deployment)
	}
	if err != nil {
		d.Destroy(deployment, true, blueprintName, true)
		return nil, err
	}
	return deployment, nil
}

// Destroy ends the servers of a deployment and forgets them.
func (d *Deployer) Destroy(dep *Deployment, printServerLogs bool, _ string, _ bool) {
	if printServerLogs {
		d.PrintLogs(dep)
	}
	for _, deployed := range dep.HS {
		server, err := serverOf(deployed)
		if err == nil {
			err = server.Kill()
		}
		if err != nil {
			log.Printf("destroy: %s", err)
		}
		running.mu.Lock()
		delete(running.servers, deployed.ContainerID)
		running.mu.Unlock()
	}
}

// PrintLogs shows the end of what each server has printed.
func (d *Deployer) PrintLogs(dep *Deployment) {
	for hsName, deployed := range dep.HS {
		server, err := serverOf(deployed)
		if err != nil {
			log.Printf("%s: %s", hsName, err)
			continue
		}
		log.Printf("%s (%s), the end of its log:\n%s", hsName, deployed.ContainerID, server.LogTail(logLines))
	}
}

// StartServer starts a stopped server over what it had stored, at the same address.
func (d *Deployer) StartServer(hsDep *HomeserverDeployment) error {
	return withServer(hsDep, (*homeserver.Server).Start)
}

// StopServer ends a server in order.
func (d *Deployer) StopServer(hsDep *HomeserverDeployment) error {
	return withServer(hsDep, (*homeserver.Server).Stop)
}

// PauseServer stops a server where it is.
func (d *Deployer) PauseServer(hsDep *HomeserverDeployment) error {
	return withServer(hsDep, (*homeserver.Server).Pause)
}

// UnpauseServer lets a paused server go on.
func (d *Deployer) UnpauseServer(hsDep *HomeserverDeployment) error {
	return withServer(hsDep, (*homeserver.Server).Unpause)
}

// Restart stops a server in order and starts it again.
func (d *Deployer) Restart(hsDep *HomeserverDeployment) error {
	if err := d.StopServer(hsDep); err != nil {
		return err
	}
	return d.StartServer(hsDep)
}

func (d *Deployer) joinNetwork() (*homeserver.Network, error) {
	running.mu.Lock()
	defer running.mu.Unlock()
	if running.network != nil {
		return running.network, nil
	}
	network, err := homeserver.Join(d.config.HostnameRunningComplement)
	running.network = network
	return network, err
}

func (d *Deployer) startAll(
	network *homeserver.Network, names *homeserver.Names, blueprint b.Blueprint, deployment *Deployment,
) error {
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	for _, wanted := range blueprint.Homeservers {
		wait.Go(func() {
			deployed, err := d.startNew(network, names, wanted)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
				return
			}
			deployment.HS[wanted.Name] = deployed
		})
	}
	wait.Wait()
	return errors.Join(failures...)
}

func (d *Deployer) startNew(
	network *homeserver.Network, names *homeserver.Names, wanted b.Homeserver,
) (*HomeserverDeployment, error) {
	var command []string
	if err := json.Unmarshal([]byte(os.Getenv(commandVariable)), &command); err != nil || len(command) == 0 {
		return nil, fmt.Errorf("%s must be a JSON list of a program and its arguments", commandVariable)
	}
	registrations := map[string]string{}
	accessTokens := map[string]string{}
	for _, service := range wanted.ApplicationServices {
		registrations[service.ID] = registration(service)
		accessTokens[fmt.Sprintf("@%s:%s", service.SenderLocalpart, wanted.Name)] = service.ASToken
	}
	server, err := network.Create(homeserver.Options{
		Name:          wanted.Name,
		Names:         names,
		Authority:     homeserver.Authority{Certificate: d.config.CACertificate, Key: d.config.CAPrivateKey},
		Command:       command,
		Registrations: registrations,
		Timeout:       d.config.SpawnHSTimeout,
	})
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	id := strings.TrimPrefix(server.ClientURL(), "http://")
	running.mu.Lock()
	if running.servers == nil {
		running.servers = map[string]*homeserver.Server{}
	}
	running.servers[id] = server
	running.mu.Unlock()
	return &HomeserverDeployment{
		BaseURL:             server.ClientURL(),
		FedBaseURL:          server.FederationURL(),
		ContainerID:         id,
		AccessTokens:        accessTokens,
		ApplicationServices: registrations,
		DeviceIDs:           map[string]string{},
	}, nil
}

// instruct makes the users and rooms of the blueprint, a server after the other: a later one joins rooms of an earlier.
func (d *Deployer) instruct(blueprint b.Blueprint, deployment *Deployment) error {
	runner := instruction.NewRunner(blueprint.Name, d.config.BestEffort, d.config.DebugLoggingEnabled)
	for _, wanted := range blueprint.Homeservers {
		if err := runner.Run(wanted, deployment.HS[wanted.Name].BaseURL); err != nil {
			return fmt.Errorf("the instructions of %s: %w", blueprint.Name, err)
		}
	}
	for hsName, deployed := range deployment.HS {
		for userID, token := range runner.AccessTokens(hsName) {
			deployed.AccessTokens[userID] = token
		}
		for userID, deviceID := range runner.DeviceIDs(hsName) {
			deployed.DeviceIDs[userID] = deviceID
		}
	}
	return nil
}

// registration is what a bridge's operator would write: https://spec.matrix.org/v1.19/application-service-api/#registration
func registration(service b.ApplicationService) string {
	fields := []struct {
		name  string
		value any
	}{
		{"id", service.ID},
		{"url", service.URL},
		{"as_token", service.ASToken},
		{"hs_token", service.HSToken},
		{"sender_localpart", service.SenderLocalpart},
		{"rate_limited", service.RateLimited},
		{"receive_ephemeral", service.SendEphemeral},
		{"namespaces", map[string]any{
			"users":   []any{map[string]any{"exclusive": false, "regex": ".*"}},
			"rooms":   []any{},
			"aliases": []any{},
		}},
	}
	lines := make([]string, 0, len(fields))
	for _, field := range fields {
		// A value in JSON is a value in YAML.
		encoded, err := json.Marshal(field.value)
		if err != nil {
			panic(err)
		}
		lines = append(lines, fmt.Sprintf("%s: %s", field.name, encoded))
	}
	return strings.Join(lines, "\n") + "\n"
}

func serverOf(hsDep *HomeserverDeployment) (*homeserver.Server, error) {
	running.mu.Lock()
	defer running.mu.Unlock()
	server, isKnown := running.servers[hsDep.ContainerID]
	if !isKnown {
		return nil, fmt.Errorf("there is no server %s", hsDep.ContainerID)
	}
	return server, nil
}

func withServer(hsDep *HomeserverDeployment, act func(*homeserver.Server) error) error {
	server, err := serverOf(hsDep)
	if err != nil {
		return err
	}
	return act(server)
}

// RoundTripper sends requests for a server's name to where that server listens.
type RoundTripper struct {
	Deployment *Deployment
}

// RoundTrip answers as the server of that name, or as this process for the name that it has.
func (t *RoundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	name := request.URL.Hostname()
	target := request.Clone(request.Context())
	target.URL.Scheme = "https"
	if name == t.Deployment.Config.HostnameRunningComplement {
		target.URL.Host = strings.Replace(request.URL.Host, name, "localhost", 1)
	} else {
		deployed, isKnown := t.Deployment.HS[name]
		if !isKnown {
			return nil, fmt.Errorf("the deployment has no server %s", name)
		}
		listener, err := url.Parse(deployed.FedBaseURL)
		if err != nil {
			return nil, err
		}
		target.URL.Host = listener.Host
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{ServerName: name, InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}
	return transport.RoundTrip(target)
}
