-- Tables of the actor under another server's name: what this server owes to that one.

-- Rooms in which something is, or once was, for the server.
CREATE TABLE outbound_rooms (
  room_id TEXT PRIMARY KEY,
  -- Room position up to which the server has been given everything.
  position INTEGER NOT NULL,
  -- Newest room position that the room spoke of. More than `position`: something may wait there.
  head INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX outbound_rooms_behind ON outbound_rooms (room_id) WHERE head > position;

-- EDUs that must arrive, oldest first.
CREATE TABLE outbound_edus (
  edu_nid INTEGER PRIMARY KEY,
  edu_id TEXT NOT NULL UNIQUE,
  -- Length of the JSON, in UTF-16 units
  size INTEGER NOT NULL,
  json TEXT NOT NULL
);

-- How it stands with delivering: at most one row, there from the first transaction on.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- The transaction that the server has not confirmed yet: the next is only made after it. Null: none.
  txn_id TEXT,
  -- JSON list of [room id, position after which, position up to which] of the events in it
  rooms TEXT NOT NULL,
  -- The last stored EDU in it.
  edu_through INTEGER NOT NULL,
  -- Events and stored EDUs in it.
  items INTEGER NOT NULL,
  -- ms since epoch: when the transaction left. Null: it is not on its way.
  sent_ts INTEGER,
  -- Items of the next transactions, at most, after one was refused for what was in it; null: as many as are allowed.
  max_items INTEGER,
  -- Attempts in a row that came to nothing.
  failures INTEGER NOT NULL,
  -- ms since epoch: not before is anything sent
  retry_ts INTEGER NOT NULL,
  -- Attempts in a row that were made because the server spoke to us and came to nothing all the same.
  early_tries INTEGER NOT NULL,
  -- ms since epoch: not before does it count again that the server speaks to us
  early_ts INTEGER NOT NULL
);
