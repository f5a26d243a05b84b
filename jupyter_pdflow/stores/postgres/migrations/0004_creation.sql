-- When a run was created: lists of a time and counts of days ask for it, and counts of all runs read
-- this index only. The summary has had it all the time. Its other texts come later, or are strings
-- in which quotes are escaped, so the first match is the right one.
ALTER TABLE pdflow.runs ADD COLUMN created_at timestamptz;

UPDATE pdflow.runs SET created_at = coalesce(
    substring(encode(summary, 'escape')
        from '"created_at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"')::timestamptz,
    updated_at);

ALTER TABLE pdflow.runs ALTER COLUMN created_at SET NOT NULL;

CREATE INDEX runs_by_creation ON pdflow.runs (created_at, id) INCLUDE (workflow_id, status, pause);
