/* The tables of a store. The comments inside the SQL stay in the file: `sqlite3 run.db .schema` shows them.
 * Reals: NaN is stored as NULL (SQLite has none) and read back as NaN; infinities are stored as they are.
 * Seeds: 64 bits, stored as SQLite's signed integers with the same bits.
 * After a change: raise RLLC_STORE_VERSION, keep reading the versions before, and tell docs/store.md. */
#ifndef RLLC_STORE_SCHEMA_H
#define RLLC_STORE_SCHEMA_H

#define RLLC_STORE_APPLICATION 0x724C4C43 /* "rLLC" */
#define RLLC_STORE_VERSION 3

static const char *const rllc_store_schema[] = {
    "CREATE TABLE IF NOT EXISTS meta ( -- what the run says about itself\n"
    "    key TEXT PRIMARY KEY,      -- 'config', 'title', ...\n"
    "    value TEXT NOT NULL        -- any text, for example a whole YAML file\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS provenance ( -- where results come from: one row for each process that wrote\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    process TEXT NOT NULL,     -- hash of machine, process id and start time\n"
    "    created INTEGER NOT NULL,  -- seconds since 1970, UTC\n"
    "    json TEXT NOT NULL,        -- version, commit, host, CPU, libraries, kernels, threads\n"
    "    UNIQUE (process, json)\n"
    ") STRICT",

    "CREATE TABLE IF NOT EXISTS corpus ( -- data that a loss is taken over\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    name TEXT NOT NULL,        -- 'mix', 'code'\n"
    "    hash TEXT NOT NULL,        -- content hash of the split used for sampling\n"
    "    trained_on INTEGER NOT NULL CHECK (trained_on IN (0, 1)), -- 1: the training corpus\n"
    "    json TEXT NOT NULL,        -- corpus.json: sources, splits, counts, seeds\n"
    "    UNIQUE (name, hash)\n"
    ") STRICT",

    "CREATE TABLE IF NOT EXISTS checkpoint ( -- weights that were saved\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    seed INTEGER NOT NULL,     -- training run\n"
    "    step INTEGER NOT NULL,     -- completed updates; 0 = initialisation\n"
    "    hash TEXT NOT NULL,        -- content hash of the weights\n"
    "    path TEXT NOT NULL,        -- model file; relative to the store's folder when inside it\n"
    "    n_layers INTEGER NOT NULL, -- of the model\n"
    "    n_heads INTEGER NOT NULL,  -- in each layer\n"
    "    model_json TEXT NOT NULL,  -- the model's options\n"
    "    UNIQUE (seed, step, hash)\n"
    ") STRICT",

    "CREATE TABLE IF NOT EXISTS training ( -- curves over training\n"
    "    metric TEXT NOT NULL,      -- 'train_loss', 'validation_loss', 'gradient_norm', ...\n"
    "    seed INTEGER NOT NULL,     -- training run\n"
    "    step INTEGER NOT NULL,     -- completed updates\n"
    "    value REAL,                -- in the metric's unit\n"
    "    PRIMARY KEY (metric, seed, step)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS score ( -- tidy scores of heads and models\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id), -- whose weights\n"
    "    metric TEXT NOT NULL,      -- 'previous_token', ...\n"
    "    layer INTEGER NOT NULL,    -- from 0; -1 = not of one layer\n"
    "    head INTEGER NOT NULL,     -- from 0; -1 = not of one head\n"
    "    corpus TEXT NOT NULL,      -- name; '' = no corpus\n"
    "    value REAL,                -- the score\n"
    "    se REAL,                   -- standard error; NULL = unknown\n"
    "    n INTEGER NOT NULL,        -- samples behind it\n"
    "    chance REAL,               -- what a head that knows nothing would score; NULL = not defined\n"
    "    PRIMARY KEY (checkpoint_id, metric, layer, head, corpus)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS pair ( -- what one head means to another: composition scores, path ablations\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id), -- whose weights\n"
    "    metric TEXT NOT NULL,      -- 'composition_k', 'path/zero/q', ...\n"
    "    from_layer INTEGER NOT NULL, -- the head that writes\n"
    "    from_head INTEGER NOT NULL,\n"
    "    to_layer INTEGER NOT NULL, -- the head that reads\n"
    "    to_head INTEGER NOT NULL,\n"
    "    corpus TEXT NOT NULL,      -- name; '' = no corpus\n"
    "    value REAL,\n"
    "    se REAL,                   -- standard error; NULL = unknown or exact\n"
    "    n INTEGER NOT NULL,        -- samples behind it; 0 = none, it is exact\n"
    "    chance REAL,               -- what unrelated heads would show; NULL = not defined\n"
    "    PRIMARY KEY (checkpoint_id, metric, from_layer, from_head, to_layer, to_head, corpus)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS measure ( -- of a model or a component: norms, curvature, losses by position, ablations of sets\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id), -- whose weights\n"
    "    metric TEXT NOT NULL,      -- 'hessian_trace', 'weight_norm', ...\n"
    "    component TEXT NOT NULL,   -- 'full', 'l0h3', 'l0h1+l0h4', ...\n"
    "    corpus TEXT NOT NULL,      -- name; '' = no corpus\n"
    "    value REAL,\n"
    "    se REAL,                   -- standard error; NULL = unknown or exact\n"
    "    n INTEGER NOT NULL,        -- samples behind it; 0 = none, it is exact\n"
    "    json TEXT NOT NULL,        -- what one number cannot say: spectra, curves by position; '' = nothing\n"
    "    PRIMARY KEY (checkpoint_id, metric, component, corpus)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS context ( -- the tokens whose prediction an ablation of a head changes most\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id), -- whose weights\n"
    "    layer INTEGER NOT NULL,    -- of the head\n"
    "    head INTEGER NOT NULL,\n"
    "    corpus TEXT NOT NULL,      -- name\n"
    "    ablation TEXT NOT NULL,    -- 'zero', 'mean', ...\n"
    "    rank INTEGER NOT NULL,     -- 0 = the most affected\n"
    "    sequence INTEGER NOT NULL, -- row of the corpus' analysis split\n"
    "    position INTEGER NOT NULL, -- k: token k predicts token k + 1\n"
    "    loss REAL,                 -- of that prediction, nats\n"
    "    ablated_loss REAL,         -- the same without the head\n"
    "    label TEXT NOT NULL,       -- 'induction', 'dyck', 'n-gram', 'skip n-gram', '' = none: the first that holds\n"
    "    labels INTEGER NOT NULL,   -- all that hold: 1 induction + 2 dyck + 4 n-gram + 8 skip n-gram\n"
    "    pattern TEXT NOT NULL,     -- token ids of the n-gram or skip n-gram; '' = none\n"
    "    tokens BLOB NOT NULL,      -- int32 little-endian [k + 2]: the context, then the predicted token\n"
    "    attention BLOB NOT NULL,   -- float32 little-endian [k + 1]: the head's attention from k\n"
    "    PRIMARY KEY (checkpoint_id, layer, head, corpus, ablation, rank)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS head_type ( -- what kind of head it is\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id), -- judged at these weights\n"
    "    layer INTEGER NOT NULL,\n"
    "    head INTEGER NOT NULL,\n"
    "    type TEXT NOT NULL,        -- 'previous-token', 'current-token', 'induction', 'bracket', 'multigram', ...\n"
    "    source TEXT NOT NULL CHECK (source IN ('automatic', 'manual')),\n"
    "    evidence TEXT NOT NULL,    -- one line\n"
    "    json TEXT NOT NULL,        -- thresholds and the numbers they were compared with\n"
    "    PRIMARY KEY (checkpoint_id, layer, head)\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS cell ( -- one estimate's worth of sampling: checkpoint x component x corpus x loss\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    identity TEXT NOT NULL,    -- hash of everything that decides the result\n"
    "    checkpoint_id INTEGER NOT NULL REFERENCES checkpoint (id), -- the weights w*\n"
    "    corpus_id INTEGER NOT NULL REFERENCES corpus (id), -- the data of the loss\n"
    "    component TEXT NOT NULL,   -- 'full', 'l0h3', ...: which weights move\n"
    "    dim INTEGER NOT NULL,      -- how many numbers move\n"
    "    loss_kind TEXT NOT NULL,   -- 'next_token', or 'reference:' and the hash of the model it is relative to\n"
    "    options_json TEXT NOT NULL, -- all options of the sampler and its batches\n"
    "    provenance_id INTEGER NOT NULL REFERENCES provenance (id), -- the process that began it\n"
    "    complete INTEGER NOT NULL CHECK (complete IN (0, 1)), -- 1: every chain has ended\n"
    "    seconds REAL NOT NULL,     -- its share of wall time so far\n"
    "    nbeta REAL NOT NULL,       -- inverse temperature times n: estimate = nbeta x loss difference\n"
    "    UNIQUE (identity, checkpoint_id, corpus_id, component)\n"
    ") STRICT",

    "CREATE INDEX IF NOT EXISTS cell_checkpoint ON cell (checkpoint_id)",

    "CREATE TABLE IF NOT EXISTS chain ( -- where each chain of a cell stands\n"
    "    cell_id INTEGER NOT NULL REFERENCES cell (id) ON DELETE CASCADE, -- its cell\n"
    "    chain INTEGER NOT NULL,    -- from 0\n"
    "    stream INTEGER NOT NULL,   -- chains of one stream share their minibatches\n"
    "    step INTEGER NOT NULL,     -- next step to take\n"
    "    n_draws INTEGER NOT NULL,  -- its rows in trace\n"
    "    init_loss REAL,            -- mean loss at w* over the init batches; NULL = not yet known\n"
    "    diverged INTEGER NOT NULL CHECK (diverged IN (0, 1)), -- 1: stopped at a loss that is not finite\n"
    "    reason TEXT NOT NULL,      -- why it diverged; '' if it did not\n"
    "    weights BLOB,              -- float32 little-endian, dim numbers; NULL = ended or not begun\n"
    "    memory BLOB,               -- what the sampler keeps besides: vectors of dim float32, then float64; NULL as above\n"
    "    acceptance REAL,           -- of an exact sampler's proposals; NULL for others\n"
    "    PRIMARY KEY (cell_id, chain)\n"
    ") STRICT",

    "CREATE TABLE IF NOT EXISTS trace ( -- the raw losses: one row a draw\n"
    "    cell_id INTEGER NOT NULL,  -- with chain: row of chain\n"
    "    chain INTEGER NOT NULL,    -- from 0\n"
    "    draw INTEGER NOT NULL,     -- from 0, no gaps\n"
    "    loss REAL,                 -- minibatch loss at w_t, nats per token\n"
    "    baseline REAL,             -- loss at w* on the same minibatch\n"
    "    distance REAL,             -- |u|, u = w_t - w*\n"
    "    gradient_norm REAL,        -- |g|, gradient of the minibatch loss at w_t\n"
    "    gradient_dot REAL,         -- u . g\n"
    "    noise_norm REAL,           -- of the noise in the update that follows; NULL where there is no single one\n"
    "    mala REAL,                 -- acceptance of the step before by a Metropolis rule; NULL = not computed\n"
    "    PRIMARY KEY (cell_id, chain, draw),\n"
    "    FOREIGN KEY (cell_id, chain) REFERENCES chain (cell_id, chain) ON DELETE CASCADE\n"
    ") STRICT, WITHOUT ROWID",

    "CREATE TABLE IF NOT EXISTS token_losses ( -- per-token losses of a draw, where asked for\n"
    "    cell_id INTEGER NOT NULL REFERENCES cell (id) ON DELETE CASCADE, -- its cell\n"
    "    chain INTEGER NOT NULL,    -- -1 = the baseline (loss at w*) of the stream\n"
    "    stream INTEGER NOT NULL,   -- whose minibatches\n"
    "    draw INTEGER NOT NULL,     -- from 0\n"
    "    n_rows INTEGER NOT NULL,   -- 1 (mean over the batch) or the batch size\n"
    "    n_columns INTEGER NOT NULL, -- predicted positions\n"
    "    data BLOB NOT NULL,        -- float32 little-endian [n_rows, n_columns]\n"
    "    PRIMARY KEY (cell_id, chain, stream, draw)\n"
    ") STRICT",

    "CREATE TABLE IF NOT EXISTS estimate ( -- derived from the traces; can be rebuilt\n"
    "    cell_id INTEGER PRIMARY KEY REFERENCES cell (id) ON DELETE CASCADE, -- its cell\n"
    "    name TEXT NOT NULL,        -- 'LLC', 'wrLLC', 'drLLC', 'wdrLLC'\n"
    "    llc_mean REAL,             -- paired: against the loss at w* on each draw's own minibatch\n"
    "    llc_sd REAL,               -- over chains, n - 1 below\n"
    "    llc_se REAL,               -- standard error of llc_mean\n"
    "    llc_mean_init REAL,        -- conventional: against init_loss\n"
    "    llc_sd_init REAL,          -- as llc_sd, of the conventional estimate\n"
    "    llc_se_init REAL,          -- as llc_se, of the conventional estimate\n"
    "    n_chains INTEGER NOT NULL, -- chains that were run\n"
    "    n_diverged INTEGER NOT NULL, -- of n_chains; they do not enter the estimate\n"
    "    per_chain_json TEXT NOT NULL, -- {\"llc\": [...], \"llc_init\": [...]}\n"
    "    verdict TEXT,              -- 'good', 'not converged', ...; NULL = not diagnosed\n"
    "    diagnosis_json TEXT        -- statistics, bias budget and findings behind the verdict\n"
    ") STRICT",

    "CREATE TABLE IF NOT EXISTS curvature ( -- of the loss at w* on the coordinates that move\n"
    "    cell_id INTEGER PRIMARY KEY REFERENCES cell (id) ON DELETE CASCADE, -- its cell\n"
    "    json TEXT NOT NULL         -- quadratures of the restricted Hessian and of the gradient\n"
    ") STRICT",

    "CREATE TABLE IF NOT EXISTS stage ( -- what a run has done, so that unchanged stages are skipped\n"
    "    stage TEXT PRIMARY KEY,    -- 'tokenize', 'train', ...\n"
    "    input_hash TEXT NOT NULL,  -- hash of its inputs when it last ended\n"
    "    ended INTEGER NOT NULL     -- seconds since 1970, UTC\n"
    ") STRICT, WITHOUT ROWID",
};

/* What older versions lack besides whole tables, which are made as above. */
static const char *const rllc_store_from_1[] = {
    "ALTER TABLE chain ADD COLUMN memory BLOB",
    "ALTER TABLE chain ADD COLUMN acceptance REAL",
    "ALTER TABLE trace ADD COLUMN distance REAL",
    "ALTER TABLE trace ADD COLUMN gradient_norm REAL",
    "ALTER TABLE trace ADD COLUMN gradient_dot REAL",
    "ALTER TABLE trace ADD COLUMN noise_norm REAL",
    "ALTER TABLE trace ADD COLUMN mala REAL",
    "ALTER TABLE estimate ADD COLUMN verdict TEXT",
    "ALTER TABLE estimate ADD COLUMN diagnosis_json TEXT",
};
static const char *const rllc_store_from_2[] = {
    "ALTER TABLE score ADD COLUMN chance REAL",
};

#endif
