-- The versions of a workflow have numbers, in the order in which they were first deployed.
ALTER TABLE pdflow.versions ADD COLUMN number integer, ADD COLUMN created_at timestamptz;

-- A record ends with the time. It is read as text, as PostgreSQL's JSON refuses NUL in a source;
-- `encode` takes any bytes.
UPDATE pdflow.versions AS stored SET number = counted.number, created_at = counted.created_at
FROM (
    SELECT workflow_id, version, created_at,
        row_number() OVER (PARTITION BY workflow_id ORDER BY created_at, version) AS number
    FROM (
        SELECT workflow_id, version, coalesce(
            substring(encode(record, 'escape') FROM '"created_at":"([0-9T:.Z+-]+)"}$')::timestamptz,
            now()
        ) AS created_at
        FROM pdflow.versions
    ) AS dated
) AS counted
WHERE stored.workflow_id = counted.workflow_id AND stored.version = counted.version;

ALTER TABLE pdflow.versions
    ALTER COLUMN number SET NOT NULL,
    ALTER COLUMN created_at SET NOT NULL,
    ADD UNIQUE (workflow_id, number);
