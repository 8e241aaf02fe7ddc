-- What the room knows about itself: one row.
CREATE TABLE room (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  room_version TEXT NOT NULL,
  -- Newest position of the room's stream; each event, receipt and typing change of the live room takes the next one.
  stream_position INTEGER NOT NULL,
  -- Newest event number that was given out.
  event_nid INTEGER NOT NULL,
  -- Root node of the current state (state_nodes), null before the create event is stored.
  state_root INTEGER,
  joined_members INTEGER NOT NULL DEFAULT 0,
  invited_members INTEGER NOT NULL DEFAULT 0,
  -- JSON object: user id → ms since epoch when the user ceases to type.
  typing TEXT NOT NULL DEFAULT '{}',
  -- Stream position of the last change of `typing`.
  typing_position INTEGER NOT NULL DEFAULT 0,
  -- 1: listed in the public room directory.
  is_published INTEGER NOT NULL DEFAULT 0,
  -- Stream position up to which D1 has the room's summary; less than directory_owed: it is behind.
  directory_position INTEGER NOT NULL DEFAULT 0,
  directory_owed INTEGER NOT NULL DEFAULT 0,
  -- 1: the server's register of rooms has this room.
  is_noted INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE events (
  -- Local number, unsigned 32 bits, in order of arrival.
  event_nid INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  -- Position in the room's stream; negative for history fetched later; null for what no client may see
  -- (outliers, rejected, soft-failed).
  stream_position INTEGER,
  -- accepted | soft_failed | rejected | outlier
  status TEXT NOT NULL,
  depth INTEGER NOT NULL,
  -- ms since epoch, as its sender claims
  origin_server_ts INTEGER NOT NULL,
  sender TEXT NOT NULL,
  type TEXT NOT NULL,
  -- null: not a state event
  state_key TEXT,
  -- Root nodes of the state before and after the event; equal for message events. No state after: an outlier, or an event
  -- that was rejected as one.
  state_root_before INTEGER,
  state_root_after INTEGER,
  -- Root node of the room's current state once the event was stored: where the graph forks, another than the state after
  -- the event. Null for events without a position in the live room.
  current_root INTEGER,
  -- Place in the index of auth chains; null: not a state event, or rejected.
  auth_chain INTEGER,
  auth_sequence INTEGER,
  -- Event id of the redaction that was applied; the JSON keeps the original, readers prune it.
  redacted_by TEXT,
  -- The device and transaction id of the request that made it, for `unsigned.transaction_id`; null when not made here.
  device_id TEXT,
  txn_id TEXT,
  -- The PDU as canonical JSON, with hashes and signatures.
  json TEXT NOT NULL
);
CREATE UNIQUE INDEX events_by_stream_position ON events (stream_position) WHERE stream_position IS NOT NULL;

-- prev_events. The prev event may be unknown here, hence by id.
CREATE TABLE event_edges (
  event_nid INTEGER NOT NULL,
  prev_event_id TEXT NOT NULL,
  PRIMARY KEY (event_nid, prev_event_id)
) WITHOUT ROWID;

CREATE TABLE event_forward_extremities (event_nid INTEGER PRIMARY KEY);
-- Events that stand before those that are here, and are not here themselves.
CREATE TABLE event_backward_extremities (
  event_id TEXT PRIMARY KEY,
  -- Stream position behind which they go, and what stands before them, once fetched; null: before everything that is here.
  after_position INTEGER
) WITHOUT ROWID;

-- Redactions whose target was not here when they came.
CREATE TABLE pending_redactions (
  target_event_id TEXT NOT NULL,
  redaction_nid INTEGER NOT NULL,
  PRIMARY KEY (target_event_id, redaction_nid)
) WITHOUT ROWID;

-- Idempotency of client requests. `scope` is the user, device and endpoint.
CREATE TABLE transactions (
  scope TEXT NOT NULL,
  txn_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  -- ms since epoch; rows are dropped after a day
  created_ts INTEGER NOT NULL,
  PRIMARY KEY (scope, txn_id)
) WITHOUT ROWID;
