CREATE TABLE receipts (
  user_id TEXT NOT NULL,
  -- m.read | m.read.private
  receipt_type TEXT NOT NULL,
  -- '' for an unthreaded receipt, 'main', or a thread root's event id
  thread_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  -- Stream position of the event that was read.
  event_position INTEGER NOT NULL,
  -- ms since epoch
  ts INTEGER NOT NULL,
  -- Stream position of the receipt itself.
  stream_position INTEGER NOT NULL,
  PRIMARY KEY (user_id, receipt_type, thread_id)
) WITHOUT ROWID;
CREATE INDEX receipts_by_stream_position ON receipts (stream_position);

-- Those who read the room's log from a position of their own, numbered densely from 0: bits of the wake pages.
CREATE TABLE consumers (
  consumer_nid INTEGER PRIMARY KEY,
  -- user | server
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (kind, name)
);

-- 2,048 consumers a page, one bit each (256-byte blobs).
CREATE TABLE wake_pages (
  page INTEGER PRIMARY KEY,
  -- One more with every write, so that what an instance remembers beside a page is only used with the page it is about.
  version INTEGER NOT NULL,
  -- Those who want a wake for every item of the stream (joined users).
  listening BLOB NOT NULL,
  -- Those to whom a wake is owed. May hold some who have had it already: a wake too many is harmless, one too few is not.
  owed BLOB NOT NULL,
  -- Those who were woken and have not read since: no further wake until they have.
  woken BLOB NOT NULL
);
