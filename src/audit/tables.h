// The tables, and the statements that use them. README.md describes the tables for their readers.
#pragma once

namespace nb::audit {

// Grows when a table changes.
inline constexpr char kTablesVersion[] = "1";

// Several programs may start at once.
inline constexpr char kMakeTables[] = R"sql(
SELECT pg_advisory_xact_lock(hashtext('nodebeat_audit'));
CREATE TABLE IF NOT EXISTS nodebeat_audit (
  id text COLLATE "C" NOT NULL,
  written_at timestamptz NOT NULL,
  op text NOT NULL,
  session_id text NOT NULL,
  old_version bigint,
  new_version bigint,
  client text NOT NULL,
  uid bigint,
  node text NOT NULL,
  instance text COLLATE "C" NOT NULL,
  sequence bigint NOT NULL,
  state text,
  moved_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, instance, sequence)
);
CREATE INDEX IF NOT EXISTS nodebeat_audit_session ON nodebeat_audit (session_id, written_at);
CREATE INDEX IF NOT EXISTS nodebeat_audit_time ON nodebeat_audit (written_at);
CREATE TABLE IF NOT EXISTS nodebeat_audit_odd (
  id text COLLATE "C" NOT NULL,
  digest bytea NOT NULL,
  entry bytea NOT NULL,
  reason text NOT NULL,
  moved_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, digest)
);
CREATE TABLE IF NOT EXISTS nodebeat_audit_gap (
  noticed_at timestamptz NOT NULL DEFAULT now(),
  after_id text NOT NULL,
  before_id text NOT NULL,
  entries bigint,
  PRIMARY KEY (after_id, before_id)
);
CREATE TABLE IF NOT EXISTS nodebeat_audit_meta (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  last_id text NOT NULL,
  entries numeric
);
INSERT INTO nodebeat_audit_meta (version, last_id, entries) VALUES (1, '0-0', 0) ON CONFLICT DO NOTHING;
)sql";

inline constexpr char kInsert[] = R"sql(
INSERT INTO nodebeat_audit (id, written_at, op, session_id, old_version, new_version, client, uid,
                            node, instance, sequence, state)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[],
                     $6::bigint[], $7::text[], $8::bigint[], $9::text[], $10::text[],
                     $11::bigint[], $12::text[])
ON CONFLICT (id, instance, sequence) DO NOTHING)sql";

inline constexpr char kInsertOdd[] = R"sql(
INSERT INTO nodebeat_audit_odd (id, digest, entry, reason)
VALUES ($1::text, sha256($2::bytea), $2::bytea, $3::text) ON CONFLICT (id, digest) DO NOTHING)sql";

inline constexpr char kInsertGap[] = R"sql(
INSERT INTO nodebeat_audit_gap (after_id, before_id, entries)
VALUES ($1::text, $2::text, $3::bigint) ON CONFLICT DO NOTHING)sql";

inline constexpr char kSetPlace[] = R"sql(
UPDATE nodebeat_audit_meta SET last_id = $1::text, entries = $2::numeric)sql";

}  // namespace nb::audit
