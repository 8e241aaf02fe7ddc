-- The user directory, written by the users themselves.
CREATE TABLE directory_users (
  -- Row of `user_search`.
  user_nid INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL UNIQUE,
  -- 0: deactivated; the row stays, so that an older write cannot bring the user back.
  is_active INTEGER NOT NULL,
  display_name TEXT,
  avatar_url TEXT,
  -- Localpart and display name, folded for search.
  localpart_key TEXT NOT NULL,
  name_key TEXT NOT NULL,
  -- User id and display name, folded for search.
  search_text TEXT NOT NULL,
  -- Position in the user's own stream that the row was written from: an older write never replaces a newer one.
  position INTEGER NOT NULL
);
CREATE INDEX directory_users_by_localpart ON directory_users (localpart_key);
CREATE INDEX directory_users_by_name ON directory_users (name_key);

-- Substrings of three characters and more.
CREATE VIRTUAL TABLE user_search USING fts5 (search_text, tokenize = 'trigram');
