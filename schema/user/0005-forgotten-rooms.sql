-- Rooms that the user has left and forgotten, for devices that have not been told that the user left. Out of the way of those
-- that have: they read none of these rows.
CREATE TABLE forgotten_rooms (
  -- As it was in `rooms`: `room_reads` keeps saying what each token has read.
  room_nid INTEGER PRIMARY KEY,
  room_id TEXT NOT NULL UNIQUE,
  -- Room position at which the user left.
  membership_position INTEGER NOT NULL,
  -- Position in the user's stream: every token from here on has been told.
  forgotten_at INTEGER NOT NULL
);
CREATE INDEX forgotten_rooms_newest ON forgotten_rooms (forgotten_at);
