-- Tables of the actor under another server's name: what is known of that server.

-- How the server is reached, once it has answered or something waits for it. At most one row.
CREATE TABLE routes (
  route_nid INTEGER PRIMARY KEY CHECK (route_nid = 1),
  -- JSON list of {"host", "port"}, to be tried in this order
  targets TEXT NOT NULL,
  host_header TEXT NOT NULL,
  -- whom the certificate must name
  tls_name TEXT NOT NULL,
  -- 1: a valid .well-known named it
  is_delegated INTEGER NOT NULL,
  -- how many times in a row the .well-known could not be had
  failures INTEGER NOT NULL,
  -- ms since epoch: when discovery last gave this route
  found_ts INTEGER NOT NULL,
  -- ms since epoch: from then on it is looked for anew
  expires_ts INTEGER NOT NULL
);

-- How it stands with a server that does not answer, if it is one that this server has to do with. At most one row; none:
-- it answered when it was asked last.
CREATE TABLE contact (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- Attempts since it answered last.
  attempts INTEGER NOT NULL,
  -- ms since epoch: each request moves it an hour on; the further away, the longer until the next is made
  restored_ts INTEGER NOT NULL
);

-- The server's signing keys, as far as it, or a key server that the operator trusts, has told us.
CREATE TABLE verify_keys (
  -- ed25519:<version>
  key_id TEXT PRIMARY KEY,
  -- unpadded base64; stays as it is, but where a key server said it and the server itself says otherwise
  public_key TEXT NOT NULL,
  -- ms since epoch: until when it counts as current, at most seven days after it was last told
  valid_until_ts INTEGER NOT NULL,
  -- ms since epoch: when the server gave it up; null: it is in use
  expired_ts INTEGER,
  -- 1: the server itself said so
  is_from_server INTEGER NOT NULL,
  -- the newest of key_responses that has the key
  response_nid INTEGER NOT NULL
) WITHOUT ROWID;

-- What the server has signed of its keys, for others who ask us. Kept as long as a key was not told again since.
CREATE TABLE key_responses (
  response_nid INTEGER PRIMARY KEY,
  -- JSON as the server signed it
  response TEXT NOT NULL,
  -- ms since epoch
  fetched_ts INTEGER NOT NULL
);

-- How the last attempt to fetch the server's keys ended.
CREATE TABLE key_fetches (
  -- server: from the server itself; keyServers: from those that the operator trusts
  source TEXT PRIMARY KEY,
  -- ms since epoch
  attempted_ts INTEGER NOT NULL,
  -- failures in a row; 0: the last attempt succeeded
  failures INTEGER NOT NULL
) WITHOUT ROWID;
