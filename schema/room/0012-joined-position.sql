-- Room position at which a joined user came in, where their member event is a later one: they have changed their profile since.
ALTER TABLE room_memberships ADD COLUMN joined_position INTEGER;
