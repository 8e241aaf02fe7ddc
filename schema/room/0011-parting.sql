-- Not null: an event that is only for the servers of which the last user went out of the room at this position.
ALTER TABLE outbound_events ADD COLUMN only_until INTEGER;
