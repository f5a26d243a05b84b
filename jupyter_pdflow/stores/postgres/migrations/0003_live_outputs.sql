ALTER TABLE pdflow.outputs
    ADD COLUMN attempt integer NOT NULL DEFAULT 0,
    ADD COLUMN widgets bytea;

-- What the step of a run has shown so far, for processes that do not execute it. It may be lost in a
-- crash. Without a foreign key: its check would lock the row of the run, which the step's outcome
-- waits for.
CREATE UNLOGGED TABLE pdflow.live_outputs (
    run_id text COLLATE "C" PRIMARY KEY,
    step text NOT NULL,
    execution integer NOT NULL,
    attempt integer NOT NULL,
    outputs bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.02);
