// Package homeserver runs homeservers as processes of this machine, each on a loopback address of its own, for the
// Matrix conformance suite. It takes the place of the suite's container engine: a Network is what a container network is
// there, a Server what a container is. It knows nothing of Matrix beyond the two ports and the path that tells that a
// server is up.
//
// A network is a block 127.10.N.0/24: on Linux all of it is this machine, without any set-up, so servers keep the ports
// that Matrix gives them and need no port mapping. Names are files: each process sees its network's own /etc/hosts.
package homeserver

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// Whoever listens on this port of a block's first address has the block.
	claimPort     = 8447
	firstBlock    = 1
	lastBlock     = 250
	firstServer   = 2
	lastServer    = 250
	resolverLines = "options timeout:1 attempts:1\nnameserver %s\n"
)

// Network is a block of addresses that this process holds until Close, and a folder for its servers' files.
type Network struct {
	block  int
	claim  net.Listener
	folder string
	// The name by which servers reach this process.
	hostName string

	mu   sync.Mutex
	next int
	made int
}

// Join claims a free block of loopback addresses. Every test binary of a run has its own.
func Join(hostName string) (*Network, error) {
	folder, err := os.MkdirTemp("", "complement-")
	if err != nil {
		return nil, err
	}
	var refused error
	for block := firstBlock; block <= lastBlock; block++ {
		claim, err := net.Listen("tcp", fmt.Sprintf("127.10.%d.1:%d", block, claimPort))
		if err == nil {
			return &Network{block: block, claim: claim, folder: folder, hostName: hostName, next: firstServer}, nil
		}
		refused = err
	}
	return nil, fmt.Errorf("no free block of loopback addresses: %w", refused)
}

// Close gives the addresses back and removes all files of the servers, which must have been removed before.
func (n *Network) Close() error {
	if err := n.claim.Close(); err != nil {
		return err
	}
	return os.RemoveAll(n.folder)
}

// ownAddress is where the servers of the network reach this process.
func (n *Network) ownAddress() string {
	return fmt.Sprintf("127.10.%d.1", n.block)
}

// takeAddress goes around, so that an address that was just given back, with its closing connections, comes last.
func (n *Network) takeAddress() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	address := fmt.Sprintf("127.10.%d.%d", n.block, n.next)
	n.next++
	if n.next > lastServer {
		n.next = firstServer
	}
	return address
}

func (n *Network) newFolder(name string) (string, error) {
	n.mu.Lock()
	n.made++
	path := filepath.Join(n.folder, fmt.Sprintf("%s-%d", name, n.made))
	n.mu.Unlock()
	return path, os.MkdirAll(path, 0o755)
}

// Names are the server names of one deployment. Two deployments may both have an hs1, each its own.
type Names struct {
	network  *Network
	hosts    string
	resolver string

	mu      sync.Mutex
	entries []string
}

// NewNames makes the names of a deployment that has no servers yet.
func (n *Network) NewNames() (*Names, error) {
	folder, err := n.newFolder("names")
	if err != nil {
		return nil, err
	}
	names := &Names{
		network:  n,
		hosts:    filepath.Join(folder, "hosts"),
		resolver: filepath.Join(folder, "resolv.conf"),
		entries:  []string{"127.0.0.1 localhost", n.ownAddress() + " " + n.hostName},
	}
	// Nobody answers there, and the system says so at once: names that are not in the hosts file do not exist.
	resolver := fmt.Sprintf(resolverLines, n.ownAddress())
	if err := os.WriteFile(names.resolver, []byte(resolver), 0o644); err != nil {
		return nil, err
	}
	return names, names.write()
}

// add makes a name known to the servers of the deployment, those that run already as well.
func (names *Names) add(name, address string) error {
	names.mu.Lock()
	names.entries = append(names.entries, address+" "+name)
	names.mu.Unlock()
	return names.write()
}

// write keeps the file itself, because the processes have that very file mounted.
func (names *Names) write() error {
	names.mu.Lock()
	defer names.mu.Unlock()
	return os.WriteFile(names.hosts, []byte(strings.Join(names.entries, "\n")+"\n"), 0o644)
}
