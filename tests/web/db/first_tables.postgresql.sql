CREATE TABLE collection (
    id SERIAL NOT NULL,
    slug VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    folder TEXT NOT NULL,
    experiment VARCHAR(16) NOT NULL,
    choices INTEGER NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    wanted INTEGER,
    ordering VARCHAR(16) NOT NULL,
    blind BOOLEAN NOT NULL,
    show_others BOOLEAN NOT NULL,
    repeats DOUBLE PRECISION NOT NULL,
    sign_up BOOLEAN NOT NULL,
    is_open BOOLEAN NOT NULL,
    model TEXT,
    question TEXT NOT NULL,
    low_label VARCHAR(40) NOT NULL,
    high_label VARCHAR(40) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    scanned_at TIMESTAMP WITH TIME ZONE,
    note TEXT NOT NULL,
    model_note TEXT NOT NULL,
    CONSTRAINT pk_collection PRIMARY KEY (id),
    CONSTRAINT uq_collection_slug UNIQUE (slug)
);

CREATE TABLE rater (
    id SERIAL NOT NULL,
    code VARCHAR(64) NOT NULL,
    name VARCHAR(80) NOT NULL,
    role VARCHAR(8) NOT NULL,
    password_hash TEXT,
    link_version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_rater PRIMARY KEY (id),
    CONSTRAINT uq_rater_code UNIQUE (code)
);

CREATE TABLE image (
    id SERIAL NOT NULL,
    collection_id INTEGER NOT NULL,
    path TEXT NOT NULL,
    image_id TEXT NOT NULL,
    state VARCHAR(8) NOT NULL,
    problem TEXT NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    count INTEGER NOT NULL,
    total DOUBLE PRECISION NOT NULL,
    squares DOUBLE PRECISION NOT NULL,
    position DOUBLE PRECISION,
    spread DOUBLE PRECISION,
    CONSTRAINT pk_image PRIMARY KEY (id),
    CONSTRAINT fk_image_collection_id FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
    CONSTRAINT uq_image_collection_id_path UNIQUE (collection_id, path)
);

CREATE INDEX ix_image_collection_id_image_id ON image (collection_id, image_id);

CREATE TABLE invitation (
    id SERIAL NOT NULL,
    collection_id INTEGER NOT NULL,
    label VARCHAR(80) NOT NULL,
    uses INTEGER NOT NULL,
    max_uses INTEGER,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_invitation PRIMARY KEY (id),
    CONSTRAINT fk_invitation_collection_id FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE
);

CREATE TABLE event (
    id BIGSERIAL NOT NULL,
    client_id VARCHAR(36) NOT NULL,
    collection_id INTEGER NOT NULL,
    rater_id INTEGER NOT NULL,
    kind VARCHAR(8) NOT NULL,
    image_id INTEGER,
    value DOUBLE PRECISION,
    predicted DOUBLE PRECISION,
    round INTEGER NOT NULL,
    trial VARCHAR(36),
    shown JSON,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    elapsed_ms INTEGER,
    source VARCHAR(10) NOT NULL,
    CONSTRAINT pk_event PRIMARY KEY (id),
    CONSTRAINT fk_event_collection_id FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
    CONSTRAINT fk_event_image_id FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE,
    CONSTRAINT fk_event_rater_id FOREIGN KEY(rater_id) REFERENCES rater (id) ON DELETE CASCADE,
    CONSTRAINT uq_event_rater_id_client_id UNIQUE (rater_id, client_id)
);

CREATE INDEX ix_event_collection_id_received_at ON event (collection_id, received_at);

CREATE INDEX ix_event_image_id ON event (image_id);

CREATE TABLE membership (
    rater_id INTEGER NOT NULL,
    collection_id INTEGER NOT NULL,
    invitation_id INTEGER,
    joined_at TIMESTAMP WITH TIME ZONE NOT NULL,
    excluded BOOLEAN NOT NULL,
    CONSTRAINT pk_membership PRIMARY KEY (rater_id, collection_id),
    CONSTRAINT fk_membership_collection_id FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
    CONSTRAINT fk_membership_invitation_id FOREIGN KEY(invitation_id) REFERENCES invitation (id) ON DELETE SET NULL,
    CONSTRAINT fk_membership_rater_id FOREIGN KEY(rater_id) REFERENCES rater (id) ON DELETE CASCADE
);

CREATE TABLE choice (
    rater_id INTEGER NOT NULL,
    trial VARCHAR(36) NOT NULL,
    collection_id INTEGER NOT NULL,
    round INTEGER NOT NULL,
    kind VARCHAR(8) NOT NULL,
    shown JSON NOT NULL,
    chosen INTEGER,
    event_id BIGINT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_choice PRIMARY KEY (rater_id, trial),
    CONSTRAINT fk_choice_chosen FOREIGN KEY(chosen) REFERENCES image (id) ON DELETE CASCADE,
    CONSTRAINT fk_choice_collection_id FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
    CONSTRAINT fk_choice_event_id FOREIGN KEY(event_id) REFERENCES event (id) ON DELETE CASCADE,
    CONSTRAINT fk_choice_rater_id FOREIGN KEY(rater_id) REFERENCES rater (id) ON DELETE CASCADE
);

CREATE INDEX ix_choice_collection_id_rater_id_occurred_at ON choice (collection_id, rater_id, occurred_at);

CREATE TABLE rating (
    image_id INTEGER NOT NULL,
    rater_id INTEGER NOT NULL,
    round INTEGER NOT NULL,
    collection_id INTEGER NOT NULL,
    value DOUBLE PRECISION,
    predicted DOUBLE PRECISION,
    event_id BIGINT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_rating PRIMARY KEY (image_id, rater_id, round),
    CONSTRAINT fk_rating_collection_id FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
    CONSTRAINT fk_rating_event_id FOREIGN KEY(event_id) REFERENCES event (id) ON DELETE CASCADE,
    CONSTRAINT fk_rating_image_id FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE,
    CONSTRAINT fk_rating_rater_id FOREIGN KEY(rater_id) REFERENCES rater (id) ON DELETE CASCADE
);

CREATE INDEX ix_rating_collection_id_rater_id_occurred_at ON rating (collection_id, rater_id, occurred_at);

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO alembic_version VALUES ('0001');
