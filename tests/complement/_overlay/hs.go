// Package runtime is the conformance suite's own package of that name without the container engine's client.
package runtime

import "github.com/matrix-org/complement/ct"

// Names that tests give to SkipIf.
const (
	Dendrite  = "dendrite"
	Synapse   = "synapse"
	Conduit   = "conduit"
	Conduwuit = "conduwuit"
)

// Homeserver is the name of the server under test. Ours has none here: it is excused from nothing.
var Homeserver string

// SkipIf skips a test for the servers named.
func SkipIf(t ct.TestLike, names ...string) {
	t.Helper()
	for _, name := range names {
		if name == Homeserver {
			t.Skipf("not for %s", name)
		}
	}
}
