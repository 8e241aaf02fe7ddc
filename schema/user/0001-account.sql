-- The account: one row, absent until the user registers.
CREATE TABLE account (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- PHC string (Argon2id); null: no password login
  password_hash TEXT,
  -- ms since epoch
  created_ts INTEGER NOT NULL,
  is_admin INTEGER NOT NULL DEFAULT 0,
  is_guest INTEGER NOT NULL DEFAULT 0,
  is_deactivated INTEGER NOT NULL DEFAULT 0,
  -- 1: at deactivation the user asked for what they wrote to be erased
  is_erased INTEGER NOT NULL DEFAULT 0,
  is_locked INTEGER NOT NULL DEFAULT 0,
  is_suspended INTEGER NOT NULL DEFAULT 0,
  -- JSON object of the profile's fields (displayname, avatar_url, m.tz, …)
  profile TEXT NOT NULL DEFAULT '{}',
  -- Counts the profile's changes, so that copies of it elsewhere never go back to an older one.
  profile_version INTEGER NOT NULL DEFAULT 1,
  -- ms since epoch; the time in the create event of the newest room that the user made
  last_room_ts INTEGER NOT NULL DEFAULT 0
);

-- Newest position of the user's own stream; one row, there from the first wake or registration on.
CREATE TABLE stream (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  position INTEGER NOT NULL
);

CREATE TABLE devices (
  device_id TEXT PRIMARY KEY,
  display_name TEXT,
  -- ms since epoch; written at most once an hour
  last_seen_ts INTEGER NOT NULL,
  last_seen_ip TEXT,
  created_ts INTEGER NOT NULL
) WITHOUT ROWID;

-- Tokens, by hash. All tokens of a device descend from one login.
CREATE TABLE access_tokens (
  -- SHA-256 of the secret
  token_hash BLOB PRIMARY KEY,
  device_id TEXT NOT NULL,
  -- ms since epoch; null: until logout
  expires_ts INTEGER,
  -- The refresh token that was made with it; null: the client cannot refresh
  pair_hash BLOB
) WITHOUT ROWID;
CREATE INDEX access_tokens_by_device ON access_tokens (device_id);

CREATE TABLE refresh_tokens (
  -- SHA-256 of the secret
  token_hash BLOB PRIMARY KEY,
  device_id TEXT NOT NULL,
  -- ms since epoch
  created_ts INTEGER NOT NULL,
  -- The refresh token that made this pair of refresh and access token; null: a login made it
  parent_hash BLOB,
  -- ms since epoch; when either of the pair was first used, where a refresh made it. That spends the parent.
  used_ts INTEGER,
  -- ms since epoch; when a pair made by this one was first used. Spent tokens are kept for a while: whoever presents one
  -- again has stolen it, or was stolen from.
  spent_ts INTEGER,
  pairs_made INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_device ON refresh_tokens (device_id);

CREATE TABLE account_data (
  -- '' for global account data
  room_id TEXT NOT NULL,
  type TEXT NOT NULL,
  content TEXT NOT NULL,
  -- Position in the user's stream of the last change.
  position INTEGER NOT NULL,
  PRIMARY KEY (room_id, type)
) WITHOUT ROWID;

CREATE TABLE filters (
  filter_id INTEGER PRIMARY KEY,
  -- JSON with sorted keys; the same filter is stored once
  json TEXT NOT NULL UNIQUE
);
