-- The whole store, as it is now. Whoever changes a line here counts SCHEMA in database.py up: everything here can be made
-- again from run folders and submissions, and `palimpsest store ingest` does so with a store of another schema. What
-- stands behind a column is its meaning on the page of downloads, too.
-- Times are ISO 8601 texts in UTC, shares are percent where a metric says so. Large tables carry no indexes: a run's rows
-- are replaced as a whole, in one transaction.

CREATE TABLE store_schema (
    version INTEGER NOT NULL
);

CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,          -- hash of the spec
    track_id VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,             -- of the folder's contents as ingested
    protocol INTEGER NOT NULL,           -- that the run was made under; all numbers here are by the present one
    model VARCHAR NOT NULL,
    model_fingerprint VARCHAR NOT NULL,
    editor VARCHAR NOT NULL,
    distribution VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    task_form VARCHAR NOT NULL,
    task_hash VARCHAR NOT NULL,
    edits_planned INTEGER NOT NULL,
    batch_size INTEGER NOT NULL,
    checkpoints INTEGER[] NOT NULL,
    order_seed BIGINT,
    sample INTEGER,
    scoring_seed BIGINT NOT NULL,
    abilities VARCHAR[] NOT NULL,
    abilities_counted VARCHAR[] NOT NULL, -- those on which the unedited model is surely above chance
    seed BIGINT NOT NULL,
    spec VARCHAR NOT NULL,               -- JSON, texts cleaned
    status VARCHAR NOT NULL,             -- complete, partial, collapsed, failed
    edits_done INTEGER NOT NULL,         -- edits survived
    reason VARCHAR,
    started_at VARCHAR,
    finished_at VARCHAR,
    seconds_per_edit DOUBLE,
    peak_memory_mb DOUBLE,
    edit_order VARCHAR NOT NULL,         -- order of the edits in words
    row_id VARCHAR NOT NULL,             -- runs with the same one differ by their seed alone
    texts_hash VARCHAR NOT NULL,         -- of all prompts and targets, in the order of the edits
    bundle VARCHAR                       -- of a submission: SHA-256 of its bundle.json; NULL: a run of this home
);

CREATE TABLE headlines (
    run_id VARCHAR NOT NULL,
    quantity VARCHAR NOT NULL,           -- effective_edits; until_80, until_50; endurance_editing, endurance_abilities;
                                         -- collapse_point_nas
    edits DOUBLE,                        -- NULL: not reached, or not measured
    beyond INTEGER,                      -- set when not reached: "> N"; effective edits always are
    low DOUBLE,
    high DOUBLE                          -- NULL with a low: open above
);

CREATE TABLE checkpoints (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    scored BOOLEAN NOT NULL,             -- false: counted as failed, after a collapse
    probes INTEGER NOT NULL,
    seconds_scoring DOUBLE,
    seconds_abilities DOUBLE,
    seconds_generation DOUBLE            -- NULL: no texts were sampled
);

CREATE TABLE cases (
    run_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,           -- place in the edit order, from 0
    case_id BIGINT NOT NULL,
    subject VARCHAR NOT NULL,
    prompt VARCHAR NOT NULL,
    target_new VARCHAR NOT NULL,
    target_true VARCHAR NOT NULL
);

CREATE TABLE probes (
    run_id VARCHAR NOT NULL,
    case_id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    index INTEGER NOT NULL,
    prompt VARCHAR NOT NULL,
    target_new VARCHAR NOT NULL,
    target_true VARCHAR NOT NULL
);

CREATE TABLE case_scores (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    case_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    index INTEGER NOT NULL,
    nll_new DOUBLE,                      -- mean per token; NaN when there is no such target
    nll_true DOUBLE,
    tokens_new INTEGER NOT NULL,
    tokens_true INTEGER NOT NULL,
    hits_new INTEGER NOT NULL,
    hits_true INTEGER NOT NULL,
    exact_new BOOLEAN NOT NULL,
    exact_true BOOLEAN NOT NULL,
    window_all BOOLEAN NOT NULL,
    window_first BOOLEAN NOT NULL,
    window_latest BOOLEAN NOT NULL,
    window_planned BOOLEAN NOT NULL,
    window_first_1000 BOOLEAN,           -- NULL: no such window
    window_last_1000 BOOLEAN,
    tokens_top INTEGER,                  -- NULL, or 0: not compared with a continuation
    hits_top INTEGER,
    exact_top BOOLEAN,
    nll_fed DOUBLE,                      -- NULL: not compared as published code does
    tokens_fed INTEGER,
    hits_fed INTEGER,
    hits_first INTEGER
);

CREATE TABLE metrics (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    "window" VARCHAR NOT NULL,           -- all, first, latest, planned; empty for abilities
    metric VARCHAR NOT NULL,
    value DOUBLE,
    low DOUBLE,
    high DOUBLE,
    n INTEGER NOT NULL,
    imputed BOOLEAN NOT NULL             -- 0 because the run had collapsed
);

CREATE TABLE ability_scores (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    ability VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    chance DOUBLE NOT NULL,              -- percent
    score DOUBLE,                        -- percent
    low DOUBLE,
    high DOUBLE,
    items INTEGER NOT NULL
);

CREATE TABLE ability_items (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    ability VARCHAR NOT NULL,
    item INTEGER NOT NULL,
    correct BOOLEAN NOT NULL             -- of metrics with degrees: wholly right
);

CREATE TABLE diagnostics (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    layer INTEGER,
    value DOUBLE
);

CREATE TABLE answers (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    case_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    index INTEGER NOT NULL,
    prompt VARCHAR NOT NULL,
    text VARCHAR NOT NULL
);

CREATE TABLE timings (
    run_id VARCHAR NOT NULL,
    batch INTEGER NOT NULL,
    edits INTEGER NOT NULL,              -- after this batch
    seconds_edit DOUBLE,
    peak_memory_mb DOUBLE
);

CREATE TABLE batch_reports (
    run_id VARCHAR NOT NULL,
    batch INTEGER NOT NULL,
    kind VARCHAR NOT NULL,               -- seconds, counters, values
    name VARCHAR NOT NULL,
    value DOUBLE
);

CREATE TABLE environment (
    run_id VARCHAR NOT NULL,
    segment INTEGER NOT NULL,
    started_at VARCHAR,
    palimpsest_version VARCHAR,
    "commit" VARCHAR,
    dirty BOOLEAN NOT NULL,
    python VARCHAR,
    platform VARCHAR,
    cpu VARCHAR,
    cores INTEGER,
    threads INTEGER,
    memory_gb DOUBLE,
    gpu VARCHAR,
    packages VARCHAR NOT NULL,           -- JSON: name to version
    command VARCHAR
);

CREATE TABLE events (
    run_id VARCHAR NOT NULL,
    line INTEGER NOT NULL,               -- in events.jsonl, from 1; batches are in timings
    time VARCHAR,
    event VARCHAR NOT NULL,
    edits INTEGER,
    text VARCHAR NOT NULL
);

CREATE TABLE rank_draws (
    run_id VARCHAR NOT NULL,
    draws FLOAT[] NOT NULL               -- effective edits in each resample, see analysis/ranking.py
);

CREATE TABLE standings (
    track_id VARCHAR NOT NULL,
    row_id VARCHAR NOT NULL,             -- an editor with its configuration, over its seeds
    courses INTEGER NOT NULL,            -- seeds that ended by themselves
    effective_edits DOUBLE NOT NULL,     -- mean over the courses
    low DOUBLE,                          -- of what other seeds would give; with one or two courses of these alone
    high DOUBLE,
    rank_low INTEGER,                    -- NULL: no rank, fewer than three courses
    rank_high INTEGER,
    wide BOOLEAN NOT NULL                -- compared by a wider variance of its own
);

CREATE TABLE pairs (
    track_id VARCHAR NOT NULL,
    above VARCHAR NOT NULL,              -- row that holds more edits
    below VARCHAR NOT NULL,
    seeds INTEGER NOT NULL,              -- that both have
    difference DOUBLE,                   -- of effective edits, mean over these seeds; NULL: fewer than three
    least DOUBLE,                        -- the smallest that these two can be told apart by
    told_apart BOOLEAN NOT NULL
);

CREATE TABLE case_courses (
    run_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    case_id BIGINT NOT NULL,
    course VARCHAR NOT NULL              -- see analysis/courses.py
);

CREATE TABLE ability_courses (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    ability VARCHAR NOT NULL,
    chance DOUBLE NOT NULL,              -- percent
    items VARCHAR NOT NULL               -- how far each was right, see analysis/courses.py
);

CREATE TABLE texts (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    case_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    index INTEGER NOT NULL,
    text VARCHAR NOT NULL,               -- behind the prompt
    tokens INTEGER NOT NULL,             -- with the prompt
    spelt VARCHAR                        -- prompt and text with all special tokens; NULL: not asked for
);

CREATE TABLE continuations (
    run_id VARCHAR NOT NULL,
    edits INTEGER NOT NULL,
    case_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    index INTEGER NOT NULL,
    text VARCHAR NOT NULL,               -- what the unedited model says behind the prompt
    tokens INTEGER[] NOT NULL,           -- the same in token ids
    first_choices INTEGER[]              -- its choice at each token of the true target; NULL: not asked for
);

CREATE TABLE ledger (
    line INTEGER NOT NULL,               -- line of the ledger, from 1
    time VARCHAR NOT NULL,
    action VARCHAR NOT NULL,             -- include, publish, replace, withdraw, rerun
    run VARCHAR NOT NULL,
    editor VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    replaces VARCHAR,                    -- the run that this one takes the place of
    verdict VARCHAR,                     -- of a re-run: bits, tolerance or differs
    digest VARCHAR                       -- SHA-256 of the bundle.json that the line is about; NULL: it does not say
);

-- Runs as the page shows them. A submission is verified by the last re-run of just its content, if that agreed; until
-- then it is a row of its own and no seed of anybody else's. What the maintainers published is as a run of this home, while
-- that is the last line about whether it counts.
CREATE VIEW shown_runs AS
SELECT
    r.* REPLACE (CASE WHEN r.bundle IS NULL OR p.run IS NOT NULL OR v.day IS NOT NULL THEN r.row_id ELSE r.run_id END AS row_id),
    r.bundle IS NOT NULL AND p.run IS NULL AS submitted,
    v.day AS verified
FROM runs r LEFT JOIN (
    SELECT run, digest, CASE WHEN arg_max(verdict, line) IN ('bits', 'tolerance') THEN arg_max(time[:10], line) END AS day
    FROM ledger WHERE action = 'rerun' AND digest IS NOT NULL GROUP BY run, digest
) v ON v.run = r.run_id AND v.digest = r.bundle
LEFT JOIN (
    SELECT * FROM (
        SELECT line, run, action, digest FROM ledger WHERE action != 'rerun'
        UNION ALL SELECT line, replaces, 'replaced', NULL FROM ledger WHERE replaces IS NOT NULL
    ) QUALIFY row_number() OVER (PARTITION BY run ORDER BY line DESC) = 1
) p ON p.run = r.run_id AND p.action = 'publish' AND p.digest = r.bundle;
