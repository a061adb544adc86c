/* The tables of a store as version 1 made them (rllc 0.1.0 before its release), to test that such a file is still read. */
#ifndef TESTS_STORE_SCHEMA_1_H
#define TESTS_STORE_SCHEMA_1_H

static const char *const schema_1[] = {
    "CREATE TABLE meta (\n"
    "    key TEXT PRIMARY KEY,\n"
    "    value TEXT NOT NULL\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE provenance (\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    process TEXT NOT NULL,\n"
    "    created INTEGER NOT NULL,\n"
    "    json TEXT NOT NULL,\n"
    "    UNIQUE (process, json)\n"
    ") STRICT",

    "CREATE TABLE corpus (\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    name TEXT NOT NULL,\n"
    "    hash TEXT NOT NULL,\n"
    "    trained_on INTEGER NOT NULL CHECK (trained_on IN (0, 1)),\n"
    "    json TEXT NOT NULL,\n"
    "    UNIQUE (name, hash)\n"
    ") STRICT",

    "CREATE TABLE checkpoint (\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    seed INTEGER NOT NULL,\n"
    "    step INTEGER NOT NULL,\n"
    "    hash TEXT NOT NULL,\n"
    "    path TEXT NOT NULL,\n"
    "    n_layers INTEGER NOT NULL,\n"
    "    n_heads INTEGER NOT NULL,\n"
    "    model_json TEXT NOT NULL,\n"
    "    UNIQUE (seed, step, hash)\n"
    ") STRICT",

    "CREATE TABLE training (\n"
    "    metric TEXT NOT NULL,\n"
    "    seed INTEGER NOT NULL,\n"
    "    step INTEGER NOT NULL,\n"
    "    value REAL,\n"
    "    PRIMARY KEY (metric, seed, step)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE score (\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id),\n"
    "    metric TEXT NOT NULL,\n"
    "    layer INTEGER NOT NULL,\n"
    "    head INTEGER NOT NULL,\n"
    "    corpus TEXT NOT NULL,\n"
    "    value REAL,\n"
    "    se REAL,\n"
    "    n INTEGER NOT NULL,\n"
    "    PRIMARY KEY (checkpoint_id, metric, layer, head, corpus)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE cell (\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    identity TEXT NOT NULL,\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id),\n"
    "    corpus_id INTEGER NOT NULL REFERENCES corpus (id),\n"
    "    component TEXT NOT NULL,\n"
    "    dim INTEGER NOT NULL,\n"
    "    loss_kind TEXT NOT NULL,\n"
    "    options_json TEXT NOT NULL,\n"
    "    provenance_id INTEGER NOT NULL REFERENCES provenance (id),\n"
    "    complete INTEGER NOT NULL CHECK (complete IN (0, 1)),\n"
    "    seconds REAL NOT NULL,\n"
    "    nbeta REAL NOT NULL,\n"
    "    UNIQUE (identity, checkpoint_id, corpus_id, component)\n"
    ") STRICT",

    "CREATE INDEX cell_checkpoint ON cell (checkpoint_id)",

    "CREATE TABLE chain (\n"
    "    cell_id INTEGER NOT NULL REFERENCES cell (id) ON DELETE CASCADE,\n"
    "    chain INTEGER NOT NULL,\n"
    "    stream INTEGER NOT NULL,\n"
    "    step INTEGER NOT NULL,\n"
    "    n_draws INTEGER NOT NULL,\n"
    "    init_loss REAL,\n"
    "    diverged INTEGER NOT NULL CHECK (diverged IN (0, 1)),\n"
    "    reason TEXT NOT NULL,\n"
    "    weights BLOB,\n"
    "    PRIMARY KEY (cell_id, chain)\n"
    ") STRICT",

    "CREATE TABLE trace (\n"
    "    cell_id INTEGER NOT NULL,\n"
    "    chain INTEGER NOT NULL,\n"
    "    draw INTEGER NOT NULL,\n"
    "    loss REAL,\n"
    "    baseline REAL,\n"
    "    PRIMARY KEY (cell_id, chain, draw),\n"
    "    FOREIGN KEY (cell_id, chain) REFERENCES chain (cell_id, chain) ON DELETE CASCADE\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE token_losses (\n"
    "    cell_id INTEGER NOT NULL REFERENCES cell (id) ON DELETE CASCADE,\n"
    "    chain INTEGER NOT NULL,\n"
    "    stream INTEGER NOT NULL,\n"
    "    draw INTEGER NOT NULL,\n"
    "    n_rows INTEGER NOT NULL,\n"
    "    n_columns INTEGER NOT NULL,\n"
    "    data BLOB NOT NULL,\n"
    "    PRIMARY KEY (cell_id, chain, stream, draw)\n"
    ") STRICT",

    "CREATE TABLE estimate (\n"
    "    cell_id INTEGER PRIMARY KEY REFERENCES cell (id) ON DELETE CASCADE,\n"
    "    name TEXT NOT NULL,\n"
    "    llc_mean REAL,\n"
    "    llc_sd REAL,\n"
    "    llc_se REAL,\n"
    "    llc_mean_init REAL,\n"
    "    llc_sd_init REAL,\n"
    "    llc_se_init REAL,\n"
    "    n_chains INTEGER NOT NULL,\n"
    "    n_diverged INTEGER NOT NULL,\n"
    "    per_chain_json TEXT NOT NULL -- {\"llc\": [...], \"llc_init\": [...]}\n"
    ") STRICT",

    "CREATE TABLE stage (\n"
    "    stage TEXT PRIMARY KEY,\n"
    "    input_hash TEXT NOT NULL,\n"
    "    ended INTEGER NOT NULL\n"
    ") STRICT, WITHOUT ROWID",
};

#endif
