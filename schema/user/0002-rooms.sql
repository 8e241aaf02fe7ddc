-- The user's rooms, as told by the rooms themselves: a copy.
CREATE TABLE rooms (
  room_nid INTEGER PRIMARY KEY,
  room_id TEXT NOT NULL UNIQUE,
  membership TEXT NOT NULL,
  -- Room position at which the membership began.
  membership_position INTEGER NOT NULL,
  -- Newest room position that the room's wakes spoke of.
  head_hint INTEGER NOT NULL,
  -- Room position that some answer to this user has read for certain. Less than head_hint: the user is behind.
  head_known INTEGER NOT NULL
);

-- Up to which room position each sync token has read: the newest row at or below the token's position counts.
CREATE TABLE room_reads (
  room_nid INTEGER NOT NULL,
  -- Position in the user's stream of the token.
  token_position INTEGER NOT NULL,
  room_position INTEGER NOT NULL,
  PRIMARY KEY (room_nid, token_position)
) WITHOUT ROWID;
