-- Tables of the actor under our own server name.

-- Keys that sign in this server's name. Exactly one is current.
CREATE TABLE signing_keys (
  -- ed25519:<version>
  key_id TEXT PRIMARY KEY,
  -- 32 bytes, unpadded base64
  seed TEXT NOT NULL,
  -- ms since epoch
  created_ts INTEGER NOT NULL,
  -- ms since epoch: from when on it signs no more, which may still be to come; null: the current key
  expired_ts INTEGER
) WITHOUT ROWID;

CREATE TABLE registration_tokens (
  token TEXT PRIMARY KEY,
  -- null: without limit
  uses_allowed INTEGER,
  completed INTEGER NOT NULL DEFAULT 0,
  -- ms since epoch; null: never
  expiry_ts INTEGER,
  created_ts INTEGER NOT NULL
) WITHOUT ROWID;

-- Who has used a registration token up, so that a repeated request is not counted twice.
CREATE TABLE registration_token_uses (
  token TEXT NOT NULL,
  user_id TEXT NOT NULL,
  PRIMARY KEY (token, user_id)
) WITHOUT ROWID;

-- Nonces of registration by shared secret. A row lives for a minute.
CREATE TABLE registration_nonces (
  nonce_nid INTEGER PRIMARY KEY,
  nonce TEXT NOT NULL UNIQUE,
  created_ts INTEGER NOT NULL
);

-- Sessions of user-interactive authentication.
CREATE TABLE uia_sessions (
  session_nid INTEGER PRIMARY KEY,
  session TEXT NOT NULL UNIQUE,
  -- What the session was begun for (endpoint, user, hash of the body): it is good for nothing else.
  binding TEXT NOT NULL,
  -- JSON list of proven stages
  completed TEXT NOT NULL DEFAULT '[]',
  -- JSON object: what proven stages brought along
  params TEXT NOT NULL DEFAULT '{}',
  created_ts INTEGER NOT NULL
);

CREATE TABLE aliases (
  alias TEXT PRIMARY KEY,
  room_id TEXT NOT NULL,
  creator TEXT NOT NULL,
  created_ts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX aliases_by_room ON aliases (room_id);

-- Every room and account that lives here: for maintenance that visits all of them.
CREATE TABLE rooms (room_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE users (user_id TEXT PRIMARY KEY) WITHOUT ROWID;
