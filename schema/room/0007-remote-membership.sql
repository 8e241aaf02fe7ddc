-- Local users' invites, knocks and leaves in a room that this server is not in, as far as they are newer than what the room
-- itself says of them.
CREATE TABLE outside_memberships (
  user_id TEXT PRIMARY KEY,
  -- invite | knock | leave | ban
  membership TEXT NOT NULL,
  -- In the room's stream, so that it can be compared with the positions of memberships in the room.
  position INTEGER NOT NULL,
  room_version TEXT NOT NULL,
  -- The server that it came from, or by way of which it was made: the one to ask about the room.
  server_name TEXT NOT NULL,
  event_id TEXT NOT NULL,
  -- The member event as JSON.
  pdu TEXT NOT NULL,
  -- JSON list of stripped events that describe the room.
  stripped_state TEXT NOT NULL,
  -- 1: the user's actor has stored it.
  is_told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The join by way of other servers that one of them may have taken: one row, so that it is gone on with after a crash.
CREATE TABLE remote_join (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  join_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  reason TEXT,
  -- JSON list of the servers to ask
  servers TEXT NOT NULL,
  -- send: another server may have it; place: all that it told is here
  step TEXT NOT NULL,
  room_version TEXT NOT NULL,
  -- The join as JSON.
  pdu TEXT NOT NULL,
  -- JSON: the keys to check it by; null until it is placed
  keys TEXT,
  -- The state before the join, as far as it is here.
  state_root INTEGER,
  -- How often it was begun anew.
  attempts INTEGER NOT NULL,
  -- ms since epoch: whoever works on it has said so until then
  lease_ts INTEGER NOT NULL,
  -- ms since epoch: when the alarm goes on with it, where nobody works on it
  retry_ts INTEGER NOT NULL
);

-- Events of the room's state and auth chains that wait for one that authorizes them.
CREATE TABLE remote_join_events (
  event_id TEXT PRIMARY KEY,
  -- 1: of the state, not only of an auth chain
  is_state INTEGER NOT NULL,
  -- The auth event that was not here when it was looked at last; null: it came since. keys: the keys of who signed it are not
  -- known
  waits_for TEXT,
  -- JSON: the keys to check it by
  keys TEXT NOT NULL,
  pdu TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX remote_join_events_waiting ON remote_join_events (waits_for);
