-- Tokens by which the user proves to a third party who they are, for an hour.
CREATE TABLE openid_tokens (
  -- SHA-256 of the secret
  token_hash BLOB PRIMARY KEY,
  -- ms since epoch
  expires_ts INTEGER NOT NULL
) WITHOUT ROWID;
