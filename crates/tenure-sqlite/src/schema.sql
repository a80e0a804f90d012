-- Schema 1. The record's bytes are the only truth (docs/record-format.md); what stands beside them is for finding.
--
-- A rowid table, and not WITHOUT ROWID: records of more than about a kilobyte would overflow out of an index's
-- pages, which makes the file three times as large and reading five times as slow.
CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    -- When to look whether the session has ended, in milliseconds since 1970: never after the end of its lease.
    -- Renewals and most commits leave it alone, and with it the index; whoever looks enters the session again.
    sweep_at INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX sessions_by_sweep ON sessions (sweep_at);
