-- Copies for search, written by the rooms themselves. Nothing here grants or refuses anything.
CREATE TABLE room_summary (
  -- Row of `room_search`.
  room_nid INTEGER PRIMARY KEY,
  room_id TEXT NOT NULL UNIQUE,
  -- 1: listed in the public room directory. What describes an unlisted room is left null here.
  is_published INTEGER NOT NULL,
  -- 1: its members may be found by anyone: the join rule is public, or the history world readable.
  is_public INTEGER NOT NULL,
  name TEXT,
  topic TEXT,
  canonical_alias TEXT,
  avatar_url TEXT,
  room_type TEXT,
  join_rule TEXT NOT NULL,
  is_world_readable INTEGER NOT NULL,
  is_guest_allowed INTEGER NOT NULL,
  joined_members INTEGER NOT NULL,
  -- Name, topic and alias, folded for search.
  search_text TEXT NOT NULL,
  -- Room position that the row was written from: an older write never replaces a newer one.
  position INTEGER NOT NULL
);
CREATE INDEX room_summary_published ON room_summary (joined_members DESC, room_id) WHERE is_published = 1;

-- Substrings of three characters and more. Holds published rooms only.
CREATE VIRTUAL TABLE room_search USING fts5 (search_text, tokenize = 'trigram');

-- Who is joined where, for the user directory's visibility. Rows of those who left stay, so that an older write cannot
-- bring them back.
CREATE TABLE directory_members (
  room_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  is_joined INTEGER NOT NULL,
  -- Room position that the row was written from.
  position INTEGER NOT NULL,
  PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;
CREATE INDEX directory_members_by_user ON directory_members (user_id, room_id) WHERE is_joined = 1;
