CREATE TABLE activity_counts (
    name  TEXT NOT NULL,
    hour  INTEGER NOT NULL,                                    -- hours since 1970
    count INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (name, hour)
) STRICT, WITHOUT ROWID;
CREATE TABLE admin_links (
    digest     BLOB PRIMARY KEY CHECK (length(digest) = 32),   -- SHA-256 of the token in the link
    role       TEXT NOT NULL CHECK (role IN ('operator', 'viewer') OR role = 'merchant'),
    store_id   TEXT REFERENCES stores (id) ON DELETE CASCADE,
    label      TEXT NOT NULL CHECK (length(label) <= 60),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK ((role = 'merchant') = (store_id IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE admin_sessions (
    id           TEXT PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), -- SHA-256 of the cookie's value
    role         TEXT NOT NULL CHECK (role IN ('operator', 'viewer') OR role = 'merchant'),
    store_id     TEXT REFERENCES stores (id) ON DELETE CASCADE,
    label        TEXT NOT NULL CHECK (length(label) <= 60),
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    token_proof  BLOB CHECK (length(token_proof) = 32),       -- of the admin token that began it, keyed by the cookie's value; NULL: a link did
    CHECK ((role = 'merchant') = (store_id IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    store_id     TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), -- SHA-256 of the key; the key itself is never stored
    prefix       TEXT NOT NULL,                                -- its first 8 characters, for people to tell keys apart
    label        TEXT,
    origins      TEXT CHECK (origins IS NULL OR json_valid(origins)), -- JSON list of allowed origins; NULL: any
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT;
CREATE TABLE audit_log (
    id          TEXT PRIMARY KEY,                              -- a UUIDv7: by time
    recorded_at INTEGER NOT NULL,
    role        TEXT NOT NULL,
    actor       TEXT NOT NULL CHECK (length(actor) <= 60),     -- a session's label (of merchants: merchant), api or cli
    action      TEXT NOT NULL,
    store_hash  BLOB CHECK (store_hash IS NULL OR length(store_hash) = 32),
    objects     TEXT NOT NULL                                  -- ids, with blanks between
) STRICT, WITHOUT ROWID;
CREATE TABLE breakpoints (
    matrix_id TEXT NOT NULL REFERENCES price_matrices (id) ON DELETE CASCADE,
    axis      TEXT NOT NULL CHECK (axis IN ('width', 'height')),
    position  INTEGER NOT NULL CHECK (position >= 0),          -- 0-based, ascending by value
    value     INTEGER NOT NULL CHECK (value > 0),
    PRIMARY KEY (matrix_id, axis, position),
    UNIQUE (matrix_id, axis, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft_order_lines (
    draft_order_id    TEXT NOT NULL REFERENCES draft_order_records (id) ON DELETE CASCADE,
    position          INTEGER NOT NULL CHECK (position >= 0),  -- 0-based
    matrix_id         TEXT,                                    -- of the matrix that priced it, also when that is gone; no foreign
                                                               -- key: its index would be one more tree to write for each item
    matrix_name       TEXT NOT NULL,
    product_id        TEXT NOT NULL,
    product_title     TEXT NOT NULL,
    label             TEXT CHECK (length(label) BETWEEN 1 AND 60), -- the shopper's own words: "Kitchen, left"
    width             INTEGER NOT NULL,
    height            INTEGER NOT NULL,
    priced_width      INTEGER NOT NULL,                        -- the steps of the grid that priced this size
    priced_height     INTEGER NOT NULL,
    quantity          INTEGER NOT NULL CHECK (quantity > 0),
    base_price_minor  INTEGER NOT NULL,
    unit_price_minor  INTEGER NOT NULL,                        -- a piece with its options
    total_price_minor INTEGER NOT NULL,
    option_selections TEXT CHECK (option_selections IS NULL OR json_valid(option_selections)),
    sku               TEXT,
    variant_id        TEXT,                                    -- gid://shopify/ProductVariant/…
    requires_shipping INTEGER NOT NULL DEFAULT 1 CHECK (requires_shipping IN (0, 1)),
    taxable           INTEGER NOT NULL DEFAULT 1 CHECK (taxable IN (0, 1)),
    weight_grams      INTEGER CHECK (weight_grams >= 0),       -- of a piece; NULL: not known
    PRIMARY KEY (draft_order_id, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft_order_records (
    id                     TEXT PRIMARY KEY,
    store_id               TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    number                 INTEGER NOT NULL,                   -- the store's own sequence; shown as #D1, #D2, …
    token                  TEXT NOT NULL UNIQUE,               -- unguessable, of the hosted page
    status                 TEXT NOT NULL DEFAULT 'open'
                           CHECK (status IN ('open', 'sent') OR status IN ('ordered', 'cancelled')),
    unit                   TEXT NOT NULL CHECK (unit IN ('mm', 'cm')),
    currency               TEXT NOT NULL CHECK (length(currency) = 3),
    tax_label              TEXT NOT NULL DEFAULT 'none' CHECK (tax_label IN ('incl', 'excl') OR tax_label = 'none'), -- the store's, then
    total_price_minor      INTEGER NOT NULL,                   -- the sum of its lines
    shopify_draft_order_id TEXT,
    shopify_order_name     TEXT,                               -- Shopify's name of the draft
    shopify_total_minor    INTEGER,                            -- what it comes to there: taxes may be in it
    checkout_url           TEXT,
    order_name             TEXT,                               -- Shopify's name of the order that the draft became
    shopify_order_id       INTEGER,                            -- and its number: a customers/redact names nothing else
    ordered_at             INTEGER,
    cancelled_at           INTEGER,
    handover_attempted_at  INTEGER,                            -- a draft was asked for then, and nobody knows whether it was made; of
                                                               -- one that is sent: since then its checkout's address is asked for
    look_due_at            INTEGER,                            -- when Shopify is to be asked what has become of its draft
    deletion_due_at        INTEGER,                            -- it was called off here then, and its draft is still to be deleted
    handover_error         TEXT,                               -- why it is not there; nothing of a person
    handover_warnings      TEXT CHECK (handover_warnings IS NULL OR json_valid(handover_warnings)), -- what is otherwise there
    created_at             INTEGER NOT NULL,
    UNIQUE (store_id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE erasure_receipts (
    sequence      INTEGER PRIMARY KEY,
    previous_hash BLOB NOT NULL CHECK (length(previous_hash) = 32),
    kind          TEXT NOT NULL CHECK (kind IN ('erased', 'verified')),
    request_id    TEXT,                                        -- NULL: an erasure by hand, without a request
    type          TEXT NOT NULL,
    subject_hash  BLOB NOT NULL CHECK (length(subject_hash) = 32),     -- keyed: without meta's key it confirms no guess
    outcome       TEXT NOT NULL,
    counts        TEXT NOT NULL CHECK (json_valid(counts)),
    created_at    INTEGER NOT NULL,
    version       TEXT NOT NULL,                               -- of quotegrid and of SQLite
    hash          BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE gdpr_requests (
    id           TEXT PRIMARY KEY,
    shop         TEXT NOT NULL,
    type         TEXT NOT NULL CHECK (type IN ('CUSTOMERS_DATA_REQUEST', 'CUSTOMERS_REDACT') OR type = 'SHOP_REDACT'),
    payload      TEXT NOT NULL CHECK (json_valid(payload)),    -- ids only, and only until the request is processed
    webhook_id   TEXT,                                         -- with the type: of the delivery that asked for it
    event_id     TEXT,                                         -- Shopify's id of the event, of that delivery
    job_id       TEXT,                                         -- the job that the delivery led to
    triggered_at INTEGER NOT NULL,                             -- when Shopify says it happened; never later than created_at
    due_at       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    processed_at INTEGER,
    outcome      TEXT CHECK (outcome IN ('erased', 'nothing_held') OR outcome IN ('acknowledged', 'reported')
                     OR outcome IN ('superseded_by_reinstall', 'still_installed') OR outcome = 'rejected'),
    deleted      TEXT CHECK (deleted IS NULL OR json_valid(deleted)),  -- {table: rows}
    report       TEXT CHECK (report IS NULL OR json_valid(report)),
    erased_at    INTEGER,                                      -- when the bytes were gone from database file and WAL too
    ordered_by   TEXT NOT NULL DEFAULT 'shopify' CHECK (ordered_by IN ('shopify', 'operator')),
    -- Of a shop/redact whose store looks live, for what a thief of its signature could do:
    found_live_at INTEGER,                                     -- when that was found
    keys_used_at INTEGER,                                      -- when the store's keys were last used, then
    held_until   INTEGER,                                      -- it waits for a decision, and is carried out then at the latest
    shopify_says TEXT CHECK (shopify_says IN ('installed', 'not_installed') OR shopify_says IN ('unclear', 'not_asked')
                     OR shopify_says = 'asking'),
    decision     TEXT CHECK (decision IN ('confirmed', 'rejected')),
    decided_at   INTEGER,
    CHECK ((processed_at IS NULL) = (outcome IS NULL)),
    CHECK (erased_at IS NULL OR processed_at IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE TABLE job_attempts (
    job_id     TEXT NOT NULL REFERENCES job_queue (id) ON DELETE CASCADE,
    claim      INTEGER NOT NULL,                               -- attempts are given back, claims are not: this is the key
    attempt    INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('completed', 'retried') OR outcome IN ('failed', 'snoozed')
                   OR outcome IN ('released', 'lost')),
    error      TEXT,
    PRIMARY KEY (job_id, claim)
) STRICT, WITHOUT ROWID;
CREATE TABLE job_counts (
    status TEXT PRIMARY KEY,
    jobs   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE job_queue (
    id               TEXT PRIMARY KEY,
    type             TEXT NOT NULL,
    payload          TEXT NOT NULL CHECK (json_valid(payload)),
    status           TEXT NOT NULL DEFAULT 'pending'
                     CHECK (status IN ('pending', 'processing') OR status IN ('completed', 'failed') OR status = 'cancelled'),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- counted at the claim, so that a crash costs one
    max_attempts     INTEGER NOT NULL DEFAULT 3 CHECK (max_attempts > 0),
    scheduled_at     INTEGER NOT NULL,
    processed_at     INTEGER,
    error            TEXT,
    created_at       INTEGER NOT NULL,
    scheduled_from   INTEGER,                                  -- when scheduled_at was reckoned; tells a clock that stepped back. NULL: given
    claim            INTEGER NOT NULL DEFAULT 0,               -- only grows: with the id it is the fence of a running job
    claimed_by       TEXT,
    claimed_at       INTEGER,
    lease_expires_at INTEGER,
    batched          INTEGER NOT NULL DEFAULT 0 CHECK (batched IN (0, 1)), -- claimed together with others
    recoveries       INTEGER NOT NULL DEFAULT 0,               -- claims lost in a row; such a job is claimed alone
    external         INTEGER NOT NULL DEFAULT 0 CHECK (external IN (0, 1)), -- waits for someone else's server while it runs
    held             INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)), -- its type is paused, and a claim has come upon it
    dedupe_key       TEXT,
    subject          TEXT,
    turn_at          INTEGER,                                  -- its place in the order, where others of its subject waited before it
    CHECK ((status = 'processing') = (claimed_by IS NOT NULL AND claimed_at IS NOT NULL AND lease_expires_at IS NOT NULL)),
    CHECK (status IN ('pending', 'processing') OR processed_at IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE TABLE matrix_cells (
    matrix_id       TEXT NOT NULL REFERENCES price_matrices (id) ON DELETE CASCADE,
    height_position INTEGER NOT NULL CHECK (height_position >= 0),
    width_position  INTEGER NOT NULL CHECK (width_position >= 0),
    price_minor     INTEGER CHECK (price_minor >= 0),          -- NULL: this size is not offered
    PRIMARY KEY (matrix_id, height_position, width_position)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE option_choices (
    id              TEXT PRIMARY KEY,
    option_group_id TEXT NOT NULL REFERENCES option_groups (id) ON DELETE CASCADE,
    label           TEXT NOT NULL CHECK (length(label) BETWEEN 1 AND 100),
    modifier_type   TEXT NOT NULL CHECK (modifier_type IN ('FIXED', 'PERCENTAGE')),
    modifier_value  INTEGER NOT NULL,                          -- minor units, or basis points
    is_default      INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
    sort_order      INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE TABLE option_groups (
    id          TEXT PRIMARY KEY,
    store_id    TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    requirement TEXT NOT NULL DEFAULT 'OPTIONAL' CHECK (requirement IN ('REQUIRED', 'OPTIONAL')),
    currency    TEXT NOT NULL CHECK (length(currency) = 3),    -- what fixed amounts of its choices are in; converted as they are read
    version     INTEGER NOT NULL DEFAULT 1,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (store_id, id)
) STRICT;
CREATE TABLE order_idempotency_keys (
    store_id       TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    key_hash       BLOB NOT NULL CHECK (length(key_hash) = 32),  -- keyed
    order_hash     BLOB NOT NULL CHECK (length(order_hash) = 32), -- of what was ordered: the key with another order is refused
    draft_order_id TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (store_id, key_hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE other_webhook_deliveries (
    topic       TEXT NOT NULL,
    webhook_id  TEXT NOT NULL,                                 -- Shopify's, or a keyed hash of the body
    event_id    TEXT,
    shop        TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    job_id      TEXT,
    PRIMARY KEY (topic, webhook_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE paused_job_types (
    type      TEXT PRIMARY KEY,
    paused_at INTEGER NOT NULL,
    ending    INTEGER NOT NULL DEFAULT 0 CHECK (ending IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE TABLE price_matrices (
    id         TEXT PRIMARY KEY,
    store_id   TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    outside    TEXT NOT NULL DEFAULT 'reject' CHECK (outside IN ('reject', 'clamp')),
    min_width  INTEGER CHECK (min_width > 0),
    max_width  INTEGER CHECK (max_width > 0),
    min_height INTEGER CHECK (min_height > 0),
    max_height INTEGER CHECK (max_height > 0),
    -- What this matrix's sizes and prices are in. The store may have changed since: a matrix is converted as it is read, so that
    -- a change of unit or currency rewrites no cells.
    unit       TEXT NOT NULL CHECK (unit IN ('mm', 'cm')),
    currency   TEXT NOT NULL CHECK (length(currency) = 3),
    version    INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (store_id, id)                                      -- so that children can name both: no row points into another store
) STRICT;
CREATE TABLE product_matrices (
    store_id      TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    product_id    TEXT NOT NULL,                               -- gid://shopify/Product/…
    matrix_id     TEXT NOT NULL,
    product_title TEXT NOT NULL,
    assigned_at   INTEGER NOT NULL,
    PRIMARY KEY (store_id, product_id),
    FOREIGN KEY (store_id, matrix_id) REFERENCES price_matrices (store_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE product_option_groups (
    store_id        TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    product_id      TEXT NOT NULL,
    option_group_id TEXT NOT NULL,
    sort_order      INTEGER NOT NULL DEFAULT 0,                -- in the order of assignment
    assigned_at     INTEGER NOT NULL,
    PRIMARY KEY (store_id, product_id, option_group_id),
    FOREIGN KEY (store_id, option_group_id) REFERENCES option_groups (store_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE product_settings (
    store_id                      TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    product_id                    TEXT NOT NULL,               -- gid://shopify/Product/…
    title                         TEXT,                        -- instead of that of its assignment
    sku                           TEXT,
    variant_id                    TEXT,                        -- gid://shopify/ProductVariant/…
    requires_shipping             INTEGER CHECK (requires_shipping IN (0, 1)), -- NULL: it does
    taxable                       INTEGER CHECK (taxable IN (0, 1)),           -- NULL: it is
    weight_grams                  INTEGER CHECK (weight_grams >= 0),           -- of a piece; with the next: what is added to its area's
    weight_grams_per_square_metre INTEGER CHECK (weight_grams_per_square_metre >= 0),
    PRIMARY KEY (store_id, product_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE raised_alerts (
    name      TEXT PRIMARY KEY,                                -- what it was about: ids and times, no shop and no person
    raised_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE refinery_schema_history(
             version int4 PRIMARY KEY,
             name VARCHAR(255),
             applied_on VARCHAR(255),
             checksum VARCHAR(255));
CREATE TABLE stores (
    id                  TEXT PRIMARY KEY,
    shop                TEXT NOT NULL UNIQUE,                  -- name.myshopify.com, lower case
    currency            TEXT NOT NULL DEFAULT 'USD' CHECK (length(currency) = 3),
    unit                TEXT NOT NULL DEFAULT 'mm' CHECK (unit IN ('mm', 'cm')),
    tax_label           TEXT NOT NULL DEFAULT 'none' CHECK (tax_label IN ('incl', 'excl', 'none')), -- what shoppers are told of taxes
    locale              TEXT CHECK (locale IN ('en', 'de', 'nl', 'fr')), -- the language of its pages; NULL: the browser's
    draft_order_count   INTEGER NOT NULL DEFAULT 0 CHECK (draft_order_count >= 0), -- the last number of its own sequence
    allow_discount_codes      INTEGER NOT NULL DEFAULT 0 CHECK (allow_discount_codes IN (0, 1)), -- at Shopify's checkout of an order
    allow_automatic_discounts INTEGER NOT NULL DEFAULT 0 CHECK (allow_automatic_discounts IN (0, 1)),
    catalog_version     INTEGER NOT NULL DEFAULT 1,            -- grows with every change of what hangs below; caches go by it
    installed_at        INTEGER NOT NULL,                      -- of the running installation; a re-install moves it
    uninstalled_at      INTEGER,                               -- keys and pages are dead while this is set
    erasing_since       INTEGER,                               -- set by the first step of shop_redact, gone with the row
    erasing_counts      TEXT CHECK (erasing_counts IS NULL OR json_valid(erasing_counts)), -- rows its steps have deleted so far
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL
) STRICT;
CREATE INDEX admin_links_store_id ON admin_links (store_id) WHERE store_id IS NOT NULL;
CREATE INDEX admin_sessions_store_id ON admin_sessions (store_id) WHERE store_id IS NOT NULL;
CREATE INDEX api_keys_store_id ON api_keys (store_id, id);
CREATE INDEX audit_log_store_hash ON audit_log (store_hash, id) WHERE store_hash IS NOT NULL;
CREATE INDEX draft_order_records_differing ON draft_order_records (created_at) WHERE handover_warnings IS NOT NULL;
CREATE INDEX draft_order_records_looks ON draft_order_records (store_id, look_due_at) WHERE look_due_at IS NOT NULL;
CREATE INDEX draft_order_records_never_sent ON draft_order_records (store_id, created_at)
    WHERE status = 'cancelled' AND shopify_draft_order_id IS NULL;
CREATE INDEX draft_order_records_order_id ON draft_order_records (store_id, shopify_order_id) WHERE shopify_order_id IS NOT NULL;
CREATE INDEX draft_order_records_shopify_id ON draft_order_records (shopify_draft_order_id) WHERE shopify_draft_order_id IS NOT NULL;
CREATE INDEX draft_order_records_state ON draft_order_records (store_id, status, created_at, number);
CREATE TRIGGER erasure_receipts_are_never_changed BEFORE UPDATE ON erasure_receipts
BEGIN
    SELECT RAISE(ABORT, 'erasure receipts are append-only');
END;
CREATE TRIGGER erasure_receipts_are_never_deleted BEFORE DELETE ON erasure_receipts
BEGIN
    SELECT RAISE(ABORT, 'erasure receipts are append-only');
END;
CREATE INDEX erasure_receipts_subject_hash ON erasure_receipts (subject_hash, request_id);
CREATE UNIQUE INDEX gdpr_requests_delivery ON gdpr_requests (webhook_id, type) WHERE webhook_id IS NOT NULL;
CREATE INDEX gdpr_requests_found_live ON gdpr_requests (found_live_at) WHERE found_live_at IS NOT NULL;
CREATE INDEX gdpr_requests_open ON gdpr_requests (due_at, shop, type, processed_at) WHERE processed_at IS NULL;
CREATE INDEX gdpr_requests_open_redact ON gdpr_requests (shop) WHERE processed_at IS NULL AND type = 'SHOP_REDACT';
CREATE INDEX gdpr_requests_shop ON gdpr_requests (shop, type, processed_at) WHERE processed_at IS NOT NULL;
CREATE INDEX gdpr_requests_to_scrub ON gdpr_requests (type, processed_at)
    WHERE processed_at IS NOT NULL AND erased_at IS NULL
      AND outcome <> 'superseded_by_reinstall' AND outcome <> 'still_installed' AND outcome <> 'rejected';
CREATE TRIGGER job_counts_of_deleted_jobs AFTER DELETE ON job_queue WHEN old.status <> 'processing'
BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = old.status;
END;
CREATE TRIGGER job_counts_of_new_jobs AFTER INSERT ON job_queue WHEN new.status <> 'processing'
BEGIN
    INSERT INTO job_counts (status, jobs) VALUES (new.status, 1) ON CONFLICT (status) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER job_counts_of_what_jobs_become AFTER UPDATE OF status ON job_queue
WHEN new.status <> old.status AND new.status <> 'processing'
BEGIN
    INSERT INTO job_counts (status, jobs) VALUES (new.status, 1) ON CONFLICT (status) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER job_counts_of_what_jobs_were AFTER UPDATE OF status ON job_queue
WHEN new.status <> old.status AND old.status <> 'processing'
BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = old.status;
END;
CREATE UNIQUE INDEX job_queue_dedupe ON job_queue (type, dedupe_key)
    WHERE dedupe_key IS NOT NULL AND status IN ('pending', 'processing');
CREATE INDEX job_queue_failed ON job_queue (type) WHERE status = 'failed';
CREATE INDEX job_queue_finished ON job_queue (status, processed_at) WHERE status NOT IN ('pending', 'processing');
CREATE INDEX job_queue_held ON job_queue (type, scheduled_at) WHERE held = 1;
CREATE INDEX job_queue_mentions ON job_queue (id)
    WHERE NOT (status = 'completed' AND (type = 'customers_data_request' OR type = 'customer_redact' OR type = 'shop_redact'))
      AND (subject IS NULL OR status NOT IN ('pending', 'processing'));
CREATE INDEX job_queue_pending ON job_queue (held, external, turn_at, scheduled_at, id, subject) WHERE status = 'pending';
CREATE INDEX job_queue_processing ON job_queue (lease_expires_at) WHERE status = 'processing';
CREATE INDEX job_queue_subject ON job_queue (subject) WHERE subject IS NOT NULL AND status NOT IN ('pending', 'processing');
CREATE INDEX matrix_cells_free ON matrix_cells (matrix_id) WHERE price_minor = 0;
CREATE INDEX option_choices_option_group_id ON option_choices (option_group_id);
CREATE INDEX order_idempotency_keys_created_at ON order_idempotency_keys (created_at);
CREATE INDEX other_webhook_deliveries_received_at ON other_webhook_deliveries (received_at);
CREATE INDEX product_matrices_matrix_id ON product_matrices (store_id, matrix_id);
CREATE INDEX product_option_groups_option_group_id ON product_option_groups (store_id, option_group_id);
CREATE INDEX stores_uninstalled_at ON stores (uninstalled_at) WHERE uninstalled_at IS NOT NULL;
CREATE VIEW webhook_deliveries (topic, webhook_id, event_id, shop, received_at, job_id) AS
    SELECT topic, webhook_id, event_id, shop, received_at, job_id FROM other_webhook_deliveries
    UNION ALL
    SELECT CASE type WHEN 'CUSTOMERS_REDACT' THEN 'customers/redact' WHEN 'SHOP_REDACT' THEN 'shop/redact'
                     ELSE 'customers/data_request' END,
           webhook_id, event_id, shop, created_at, job_id
    FROM gdpr_requests WHERE webhook_id IS NOT NULL;
INSERT INTO refinery_schema_history VALUES (1, 'schema', '2026-11-30T09:31:11.133055989Z', '567389156728443834');

    INSERT INTO meta VALUES ('frozen', x'0102');
    INSERT INTO stores (id, shop, installed_at, created_at, updated_at) VALUES ('s1', 'demo.myshopify.com', 1, 1, 1), ('s2', 'other.myshopify.com', 2, 2, 2);
    INSERT INTO api_keys (id, store_id, digest, prefix, created_at) VALUES ('k1', 's1', zeroblob(32), 'qg_12345', 1);
    INSERT INTO price_matrices (id, store_id, name, unit, currency, created_at, updated_at) VALUES ('m1', 's1', 'Blinds', 'mm', 'USD', 1, 1);
    INSERT INTO breakpoints VALUES ('m1', 'width', 0, 1000000), ('m1', 'width', 1, 2000000), ('m1', 'height', 0, 1000000);
    INSERT INTO matrix_cells VALUES ('m1', 0, 0, 4900), ('m1', 0, 1, NULL);
    INSERT INTO product_matrices VALUES ('s1', 'gid://shopify/Product/1', 'm1', 'Blind', 1);
    INSERT INTO option_groups (id, store_id, name, currency, created_at, updated_at) VALUES ('g1', 's1', 'Colour', 'USD', 1, 1);
    INSERT INTO option_choices (id, option_group_id, label, modifier_type, modifier_value, created_at) VALUES ('c1', 'g1', 'Grey', 'FIXED', 500, 1);
    INSERT INTO product_option_groups (store_id, product_id, option_group_id, assigned_at) VALUES ('s1', 'gid://shopify/Product/1', 'g1', 1);
    INSERT INTO product_settings (store_id, product_id, sku, taxable) VALUES ('s1', 'gid://shopify/Product/1', 'B-1', 0);
    INSERT INTO draft_order_records (id, store_id, number, token, unit, currency, total_price_minor, created_at)
        VALUES ('o1', 's1', 1, 't1', 'mm', 'USD', 10800, 1);
    INSERT INTO draft_order_lines (draft_order_id, position, matrix_id, matrix_name, product_id, product_title, label, width, height,
        priced_width, priced_height, quantity, base_price_minor, unit_price_minor, total_price_minor)
        VALUES ('o1', 0, 'm1', 'Blinds', 'gid://shopify/Product/1', 'Blind', 'Kitchen', 1000, 1000, 1000000, 1000000, 2, 4900, 5400, 10800);
    INSERT INTO order_idempotency_keys VALUES ('s1', zeroblob(32), zeroblob(32), 'o1', 1);
    INSERT INTO job_queue (id, type, payload, scheduled_at, created_at) VALUES ('j1', 'shop_redact', '{}', 1, 1);
    INSERT INTO paused_job_types VALUES ('other', 1, 0);
    INSERT INTO job_attempts VALUES ('j1', 1, 1, 1, 2, 'retried', 'an error');
    INSERT INTO other_webhook_deliveries VALUES ('shop/redact', 'w1', NULL, 'demo.myshopify.com', 1, 'j1');
    INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at) VALUES ('r1', 'demo.myshopify.com', 'SHOP_REDACT', '{}', 1, 2, 1);
    INSERT INTO admin_links VALUES (zeroblob(32), 'operator', NULL, 'link', 1, 2);
    INSERT INTO admin_sessions VALUES ('a1', zeroblob(32), 'merchant', 's1', 'session', 1, 1, NULL);
    INSERT INTO audit_log VALUES ('l1', 1, 'operator', 'api', 'job.retry', NULL, 'j1');
    INSERT INTO activity_counts VALUES ('webhooks', 1, 1);
    INSERT INTO erasure_receipts VALUES (1, zeroblob(32), 'erased', 'r1', 'SHOP_REDACT', zeroblob(32), 'erased', '{}', 1, 'v', zeroblob(32));
