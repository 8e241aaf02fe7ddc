-- The room's newest upgrade to another version: one row, stored before anything is done for it, so that it is gone on with
-- after a crash.
CREATE TABLE upgrade (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  requester TEXT NOT NULL,
  new_version TEXT NOT NULL,
  -- JSON list of user ids
  additional_creators TEXT NOT NULL,
  replacement_room TEXT NOT NULL,
  -- JSON: the create event of the replacement
  create_event TEXT NOT NULL,
  -- JSON object: the replacement's power levels while it is being made (atFirst) and, where they differ, in the end (atLast);
  -- null: the room has none
  power_levels TEXT,
  -- create | move | levels | close | done | abandon
  step TEXT NOT NULL,
  -- How often it was begun or gone on with.
  attempts INTEGER NOT NULL,
  -- ms since epoch; when the alarm goes on with it
  retry_ts INTEGER NOT NULL
);

-- Which version of their profile local members told the room last, so that an older one that comes late is not taken.
CREATE TABLE member_profiles (
  user_id TEXT PRIMARY KEY,
  version INTEGER NOT NULL
) WITHOUT ROWID;
