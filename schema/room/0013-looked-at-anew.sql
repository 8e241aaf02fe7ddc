-- JSON list, one list for each of `told`: event numbers of the state events of it that are to be looked at anew, also of
-- those that were left out of it because they are rejected.
ALTER TABLE partial_state_events ADD COLUMN told_doubtful TEXT NOT NULL DEFAULT '[]';
-- Where an event of the past belongs, also if it is rejected for now: its position, and that behind which its gap begins
-- (null: before everything).
ALTER TABLE partial_state_events ADD COLUMN past_position INTEGER;
ALTER TABLE partial_state_events ADD COLUMN past_after INTEGER;
-- One that was not rejected stands at its place already.
UPDATE partial_state_events SET past_position = (SELECT stream_position FROM events WHERE events.event_nid = partial_state_events.event_nid)
WHERE is_past = 1;
ALTER TABLE partial_state_events DROP COLUMN is_past;

-- Events outside of the graph that came while not all of the room was known, and name as what authorizes them some that are
-- to be looked at anew: in that order.
CREATE TABLE partial_state_outliers (
  number INTEGER PRIMARY KEY,
  event_nid INTEGER NOT NULL UNIQUE,
  -- The newest of partial_state_events at the time; 0: there was none.
  after_sequence INTEGER NOT NULL,
  -- What it is found to be; null: not looked at yet.
  status TEXT
);
