-- The first users by whom a room without a name is called: those who are there and, where nobody is, those who were.
CREATE INDEX room_memberships_present ON room_memberships (stream_position) WHERE membership IN ('join', 'invite');
CREATE INDEX room_memberships_gone ON room_memberships (stream_position) WHERE membership IN ('leave', 'ban');

-- 1: the user has forgotten the room since. The row stays for devices that have not been told how it ended.
ALTER TABLE outside_memberships ADD COLUMN is_forgotten INTEGER NOT NULL DEFAULT 0;
