-- (type, state_key) pairs as dense integers: indexes into the state vectors.
CREATE TABLE state_keys (
  state_key_nid INTEGER PRIMARY KEY,
  type TEXT NOT NULL,
  state_key TEXT NOT NULL,
  UNIQUE (type, state_key)
);

-- Immutable nodes of the persistent state vector `state_key_nid → event_nid`, shared between versions.
CREATE TABLE state_nodes (
  node_nid INTEGER PRIMARY KEY,
  -- 0: entries are event numbers; n: entries are nodes of height n - 1
  height INTEGER NOT NULL,
  -- 64 unsigned 32-bit little-endian integers; 0 is "nothing here"
  entries BLOB NOT NULL
);

-- The current state, flat, for the common question.
CREATE TABLE current_state_events (
  state_key_nid INTEGER PRIMARY KEY,
  event_nid INTEGER NOT NULL
);

-- Current membership of every user who has a member event, for counts, fan-out and lists.
CREATE TABLE room_memberships (
  user_id TEXT PRIMARY KEY,
  -- join | invite | knock | leave | ban
  membership TEXT NOT NULL,
  event_nid INTEGER NOT NULL,
  stream_position INTEGER NOT NULL,
  is_local INTEGER NOT NULL,
  -- 1: the user left and asked to forget the room
  is_forgotten INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
