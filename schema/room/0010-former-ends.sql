-- Ends of the graph from before the join that are ends yet (JSON list of event numbers).
ALTER TABLE partial_state ADD COLUMN former_ends TEXT NOT NULL DEFAULT '[]';
