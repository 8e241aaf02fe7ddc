-- While this server is in the room and does not know all of it, because who told it of the room has left members out, or
-- because events of its state could not be verified: one row.
CREATE TABLE partial_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- Stream position of the join; what came after it stands on a state without those members.
  since_position INTEGER NOT NULL,
  -- Root of the state before the join as it was told (state_nodes).
  told_root INTEGER NOT NULL,
  -- 1: members were left out, and are to be fetched
  lacks_members INTEGER NOT NULL,
  -- ms since epoch: until when it is tried to verify the rest (partial_state_unverified); null: there is none, or it is not
  -- begun
  unverified_until INTEGER,
  -- 1: the states here are what follows from all that is known
  is_applied INTEGER NOT NULL DEFAULT 0,
  -- The server that told it: the first to ask for the rest.
  server_name TEXT NOT NULL,
  -- Whoever completes the state; null: nobody has begun.
  worker_id TEXT,
  -- ms since epoch: when the alarm finds another worker, where there is none
  retry_ts INTEGER NOT NULL,
  -- How often it was begun since it last came on.
  attempts INTEGER NOT NULL DEFAULT 0,
  -- Root of the state that is being fetched, as far as it is here; null: none is.
  fetched_root INTEGER,
  -- Which server's answer it is of, how many of its events were taken, and a digest of those in their order.
  fetched_from TEXT,
  fetched_events INTEGER NOT NULL DEFAULT 0,
  fetched_digest TEXT NOT NULL DEFAULT '',
  -- What the states are found to be now: up to which of partial_state_events, the current state there and the ends of the
  -- graph (JSON list of event numbers).
  replayed INTEGER NOT NULL DEFAULT 0,
  current_root INTEGER,
  ends TEXT NOT NULL DEFAULT '[]'
);

-- Events that took their place in the graph meanwhile, in that order.
CREATE TABLE partial_state_events (
  sequence INTEGER PRIMARY KEY,
  event_nid INTEGER NOT NULL UNIQUE,
  -- JSON list of roots: the states that were told of prev events that were not here.
  told TEXT NOT NULL DEFAULT '[]',
  -- 1: a state without all members was told; the whole one is to be fetched
  is_partial INTEGER NOT NULL DEFAULT 0,
  -- 1: it was fetched as part of the past
  is_past INTEGER NOT NULL DEFAULT 0,
  -- What it is found to be, and its states; null: not looked at yet.
  status TEXT,
  root_before INTEGER,
  root_after INTEGER,
  current_root INTEGER
);
CREATE INDEX partial_state_events_to_fetch ON partial_state_events (sequence) WHERE is_partial = 1;

-- Servers that were told to be in the room: each counts as one joined member in room_servers.
CREATE TABLE partial_state_servers (server_name TEXT PRIMARY KEY) WITHOUT ROWID;

-- Events of a fetched state that wait for one that authorizes them: as remote_join_events.
CREATE TABLE partial_state_waiting (
  event_id TEXT PRIMARY KEY,
  is_state INTEGER NOT NULL,
  waits_for TEXT,
  keys TEXT NOT NULL,
  pdu TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX partial_state_waiting_for ON partial_state_waiting (waits_for);

-- Events of the state that was told before the join, and of its auth chains, that could not be verified because nobody had the
-- keys of who signed them, and those that they authorize: as remote_join_events.
CREATE TABLE partial_state_unverified (
  event_id TEXT PRIMARY KEY,
  is_state INTEGER NOT NULL,
  -- keys: those of who signed it are not known
  waits_for TEXT,
  keys TEXT NOT NULL,
  pdu TEXT NOT NULL,
  -- The worker that has tried it last.
  tried_by TEXT
) WITHOUT ROWID;
CREATE INDEX partial_state_unverified_for ON partial_state_unverified (waits_for);

-- Members of other servers in a large state that is being taken, as their events say: so that they are stored in one go when
-- it becomes the room's, in which nobody else is answered.
CREATE TABLE told_members (
  event_nid INTEGER PRIMARY KEY,
  state_key_nid INTEGER NOT NULL,
  user_id TEXT NOT NULL,
  membership TEXT NOT NULL
);

-- When the state was partial, for clients that have read the room then.
CREATE TABLE partial_state_past (
  -- Stream position at which all members came to be known.
  until_position INTEGER PRIMARY KEY,
  since_position INTEGER NOT NULL,
  -- The state before the join as it was told.
  told_root INTEGER NOT NULL
);

-- JSON: who told the state, and the servers in the room, where members were left out of it; null: it is whole.
ALTER TABLE remote_join ADD COLUMN omitted TEXT;
