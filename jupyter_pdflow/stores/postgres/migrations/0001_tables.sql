-- Ids sort as in Python: by code point.
CREATE TABLE pdflow.workflows (
    id text COLLATE "C" PRIMARY KEY,
    path text NOT NULL,
    newest text NOT NULL
);

CREATE TABLE pdflow.versions (
    workflow_id text COLLATE "C" NOT NULL REFERENCES pdflow.workflows ON DELETE CASCADE,
    version text NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (workflow_id, version)
);

-- Records are bytes, as PostgreSQL's JSON refuses NUL and changes numbers. What is searched, sorted
-- or claimed has a column of its own.
CREATE TABLE pdflow.runs (
    id text COLLATE "C" PRIMARY KEY,
    workflow_id text COLLATE "C" NOT NULL,
    status text NOT NULL,
    pause text,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    due_at timestamptz,
    owner text,
    lease_until timestamptz,
    queue text NOT NULL,
    rank integer,
    job text,
    record bytea NOT NULL,
    summary bytea NOT NULL,
    search text NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX runs_by_status ON pdflow.runs (status, id);
CREATE INDEX runs_by_workflow ON pdflow.runs (workflow_id, id);
CREATE INDEX runs_by_pause ON pdflow.runs (pause, id) WHERE pause IS NOT NULL;
CREATE INDEX runs_by_end ON pdflow.runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_due ON pdflow.runs (due_at) WHERE due_at IS NOT NULL;
-- Runs that wait to be executed: workflows take turns, see _RANK in the store.
CREATE INDEX runs_ready ON pdflow.runs (queue, rank, id) WHERE rank IS NOT NULL;
CREATE INDEX runs_ready_by_workflow ON pdflow.runs (workflow_id, queue, rank) WHERE rank IS NOT NULL;
CREATE INDEX runs_leased ON pdflow.runs (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE pdflow.history (
    run_id text COLLATE "C" NOT NULL REFERENCES pdflow.runs ON DELETE CASCADE,
    number integer NOT NULL,
    entry bytea NOT NULL,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE pdflow.outputs (
    run_id text COLLATE "C" NOT NULL REFERENCES pdflow.runs ON DELETE CASCADE,
    step text NOT NULL,
    execution integer NOT NULL,
    outputs bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, step, execution)
);

CREATE TABLE pdflow.dropped_outputs (
    run_id text COLLATE "C" NOT NULL REFERENCES pdflow.runs ON DELETE CASCADE,
    step text NOT NULL,
    count integer NOT NULL,
    PRIMARY KEY (run_id, step)
);

CREATE TABLE pdflow.emails (
    id text COLLATE "C" PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL REFERENCES pdflow.runs ON DELETE CASCADE,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    due_at timestamptz,
    record bytea NOT NULL
);

CREATE INDEX emails_by_run ON pdflow.emails (run_id);
CREATE INDEX emails_by_time ON pdflow.emails (created_at, id);
CREATE INDEX emails_due ON pdflow.emails (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE pdflow.keys (
    hash bytea PRIMARY KEY,
    run_id text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX keys_by_expiry ON pdflow.keys (expires_at);

CREATE TABLE pdflow.schedule_marks (
    workflow_id text COLLATE "C" NOT NULL,
    trigger_id text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, trigger_id)
);

CREATE TABLE pdflow.workers (
    owner text PRIMARY KEY,
    record bytea NOT NULL,
    seen_at timestamptz NOT NULL
);

-- What all processes share: the keys of links, the public URL.
CREATE TABLE pdflow.settings (
    name text PRIMARY KEY,
    value text NOT NULL
);
