module tessera/complement

go 1.25.0

// Its tests are run, none of it is imported: `go mod tidy` would drop it.
require github.com/matrix-org/complement v0.0.0-20260701165844-50044edb68c3
