#!/bin/sh
# Renews `.sqlx`, the metadata with which the store's statements are checked at compile time, after a
# migration or a statement was changed. Needs python3 and no database server.
# `cargo sqlx prepare --workspace` of sqlx-cli does the same.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 - "$folder/schema.db" store/migrations/*.sql <<'PYTHON'
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1])
for migration in sys.argv[2:]:
    with open(migration, encoding="utf-8") as file:
        database.executescript(file.read())
database.close()
PYTHON

mkdir "$folder/sqlx"
touch store/src/lib.rs # The macros run only when the crate is compiled.
DATABASE_URL="sqlite://$folder/schema.db" SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$folder/sqlx" \
    cargo check --quiet --package limbeck-store --all-targets
mkdir -p .sqlx
rm -f .sqlx/query-*.json
cp "$folder"/sqlx/query-*.json .sqlx/
echo "$(find .sqlx -name 'query-*.json' | wc -l) statements in .sqlx"
