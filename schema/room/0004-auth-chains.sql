-- The index of auth chains: state events as members of chains, in each of which every event has all before it in its auth
-- chain. Links lead out of a chain, and only where nothing else leads there: an event has at most as many as auth events.
CREATE TABLE event_auth_chains (
  chain INTEGER NOT NULL,
  -- 1, 2, 3, … along the chain
  sequence INTEGER NOT NULL,
  event_nid INTEGER NOT NULL,
  -- JSON list of `[chain, sequence]`; null: none
  links TEXT,
  PRIMARY KEY (chain, sequence)
) WITHOUT ROWID;

-- The same links the other way round.
CREATE TABLE event_auth_chain_links (
  target_chain INTEGER NOT NULL,
  target_sequence INTEGER NOT NULL,
  chain INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (target_chain, target_sequence, chain, sequence)
) WITHOUT ROWID;
