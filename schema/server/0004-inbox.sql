-- What the server has sent, in the actor under its name.

-- The answers to its newest transactions, so that a repeat is answered as the first time. A few slots, overwritten in turn.
CREATE TABLE inbox_transactions (
  slot INTEGER PRIMARY KEY,
  -- 1, 2, 3, …: the next is in the next slot
  transaction_nid INTEGER NOT NULL,
  txn_id TEXT NOT NULL,
  -- SHA-256 of what it carried, base64
  digest TEXT NOT NULL,
  -- JSON
  answer TEXT NOT NULL
);

-- Events that wait: others that they follow, or that authorize them, are not here and are being fetched.
CREATE TABLE inbox_events (
  -- In order of arrival.
  inbox_nid INTEGER PRIMARY KEY,
  room_id TEXT NOT NULL,
  -- Where the room could not be asked for it: a hash of the text.
  event_id TEXT NOT NULL,
  -- JSON text
  pdu TEXT NOT NULL,
  -- How often what it lacks was looked for in vain.
  tries INTEGER NOT NULL DEFAULT 0,
  -- ms since epoch; when it is looked for next
  due_ts INTEGER NOT NULL,
  UNIQUE (room_id, event_id)
);

-- Receipts that wait: their room could not be told, or does not have the event yet.
CREATE TABLE inbox_receipts (
  room_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  -- '' for a receipt of no thread
  thread_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  -- ms since epoch, as the server says
  ts INTEGER NOT NULL,
  -- How often the room was told.
  tries INTEGER NOT NULL,
  -- ms since epoch; when it is told again
  due_ts INTEGER NOT NULL,
  PRIMARY KEY (room_id, user_id, thread_id)
) WITHOUT ROWID;
