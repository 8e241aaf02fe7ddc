-- When each of the other servers was in the room: had a joined member in its current state. A time that is over is kept until
-- the server was given what is for it.
CREATE TABLE room_servers (
  server_name TEXT NOT NULL,
  -- Stream position of the event that made its first member joined; what comes after it is for the server.
  since_position INTEGER NOT NULL,
  -- Stream position of the event after which no member was joined: the last that is for the server. Null: it is in the room.
  until_position INTEGER,
  -- Its joined members now.
  joined_members INTEGER NOT NULL,
  PRIMARY KEY (server_name, since_position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX room_servers_now ON room_servers (server_name) WHERE until_position IS NULL;

-- Events that this server sends to the others in the room: of its own making, or taken on another's behalf. None while
-- nobody else is in the room.
CREATE TABLE outbound_events (
  stream_position INTEGER PRIMARY KEY,
  event_nid INTEGER NOT NULL
);
