-- 1: users of other servers may join. A room that is for the users of this server only is not listed for others.
ALTER TABLE room_summary ADD COLUMN is_federated INTEGER NOT NULL DEFAULT 1;
