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

-- The login index: one roll for each principal of whom something is known.
CREATE TABLE rolls (
    id INTEGER PRIMARY KEY,
    principal TEXT NOT NULL UNIQUE,
    -- Numbers of 64 bits without a sign, whose bits are kept as they are.
    epoch INTEGER NOT NULL,
    blocked_in INTEGER,
    -- The tags of the last endings, 8 bytes each, the newest first.
    endings BLOB NOT NULL,
    -- In milliseconds since 1970, as is `sweep_at`.
    kept_until INTEGER NOT NULL
);
CREATE INDEX rolls_by_end ON rolls (kept_until) WHERE blocked_in IS NULL;
CREATE TABLE logins (
    roll INTEGER NOT NULL,
    -- The session's id and the login's stamp.
    login BLOB NOT NULL,
    -- 0 confirmed, 1 reserved, 2 condemned.
    state INTEGER NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (roll, login)
) WITHOUT ROWID;
-- The epoch of all sessions; no row is the first one.
CREATE TABLE gate (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL
);
