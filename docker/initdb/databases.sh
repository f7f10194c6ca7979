#!/usr/bin/env bash
# Run once by the PostgreSQL image, on an empty data volume: one server, two databases,
# each with an owner of its own, so that a worker cannot read Prefect's.
set -euo pipefail

psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
    --set=prefect_password="${PREFECT_DB_PASSWORD:?}" \
    --set=fire_password="${FIRE_DB_PASSWORD:?}" <<'SQL'
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE ROLE fire LOGIN PASSWORD :'fire_password';
CREATE DATABASE prefect OWNER prefect;
CREATE DATABASE fire OWNER fire;
REVOKE CONNECT ON DATABASE prefect, fire FROM PUBLIC;
\connect prefect
-- Prefect's migrations index with it.
CREATE EXTENSION pg_trgm;
SQL
