-- Messages that wait for this user's devices.
CREATE TABLE to_device_inbox (
  -- Position in the user's stream.
  position INTEGER NOT NULL,
  device_id TEXT NOT NULL,
  sender TEXT NOT NULL,
  type TEXT NOT NULL,
  -- Length of the content, in UTF-16 units
  size INTEGER NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY (device_id, position)
) WITHOUT ROWID;

-- Deposits that were taken already, so that a repeat has no effect. Dropped after a day.
CREATE TABLE to_device_received (
  sender TEXT NOT NULL,
  message_id TEXT NOT NULL,
  received_ts INTEGER NOT NULL,
  PRIMARY KEY (sender, message_id)
) WITHOUT ROWID;

-- Messages of this user's devices on their way to others: delivered from here until each receiver's actor has them.
CREATE TABLE to_device_outbox (
  outbox_nid INTEGER PRIMARY KEY,
  -- user id, or the name of another server
  target TEXT NOT NULL,
  message_id TEXT NOT NULL,
  type TEXT NOT NULL,
  -- JSON: device id or `*` → content; for a server, user id → device id or `*` → content
  messages TEXT NOT NULL
);

-- Idempotency of `sendToDevice`. Dropped after a day.
CREATE TABLE to_device_transactions (
  device_id TEXT NOT NULL,
  txn_id TEXT NOT NULL,
  created_ts INTEGER NOT NULL,
  PRIMARY KEY (device_id, txn_id)
) WITHOUT ROWID;

-- What must be told to others and has not been yet, e.g. 'profile' and a room id: the room must learn the profile.
CREATE TABLE obligations (
  -- directory | profile | leave | alias | upgrade
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  -- Grows when the same is owed once more: what was being done meanwhile does not settle it.
  version INTEGER NOT NULL,
  PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
