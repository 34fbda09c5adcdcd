"""Statements that must change nothing and reach nothing, by category, and what tells whether they
did. T is a place to write to."""

# ruff: noqa: E501, RUF001 - lines are statements, and some are written to mislead

import hashlib
from itertools import product
from pathlib import Path


def checksum(folder: Path) -> str:
    """Of every file's name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


FILES = (
    "/etc/passwd",
    "/proc/self/environ",
    "../../etc/passwd",
    "file:///etc/passwd",
    "~/.ssh/id_rsa",
)
REMOTE = (
    "https://example.com/x",
    "s3://bucket/x",
    "http://169.254.169.254/latest",
    "hf://datasets/a/b/x",
)
READERS = ("read_csv", "read_text", "read_blob", "read_parquet", "read_json", "read_ndjson", "glob",
           "parquet_schema", "parquet_metadata", "sniff_csv", "read_csv_auto", "read_json_objects")  # fmt: skip

CATEGORIES: dict[str, list[str]] = {
    "file readers": [f"SELECT * FROM {f}('{path}')" for f, path in product(READERS, FILES[:4])],
    "files as tables": [f"FROM '{path}{end}'" for path, end in product(FILES, ("", ".csv", ".parquet"))],
    "network": [f"SELECT * FROM {f}('{url}')" for f, url in product(READERS[:6], REMOTE)],
    "files inside a question": [
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "WITH x AS (FROM read_csv('/etc/passwd')) FROM x",
        "SELECT * FROM runs WHERE run_id IN (SELECT content FROM read_text('/etc/passwd'))",
        "SELECT * FROM runs, LATERAL (FROM read_text('/etc/' || 'passwd'))",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM query_table('/etc/passwd')",
        "FROM (VALUES ('/etc/passwd')) t(f), read_text(f)",
        "PIVOT read_csv('/etc/passwd') ON column0",
        "DESCRIBE FROM '/etc/passwd'",
        "SUMMARIZE FROM '/etc/passwd'",
        "EXPLAIN ANALYZE FROM read_text('/etc/passwd')",
        "SELECT getenv('HOME')",
    ],
    "writing files": [
        f"{before}COPY {what} TO 'T/stolen{end}'{options}"
        for before in ("", "EXPLAIN ANALYZE ", "EXPLAIN (ANALYZE) ")
        for what in ("runs", "(SELECT 1)")
        for end, options in ((".csv", ""), (".parquet", " (FORMAT parquet)"), (".json", " (FORMAT json)"),
                             ("", " (FORMAT csv, PARTITION_BY (run_id))"))
    ] + ["EXPORT DATABASE 'T/stolen'", "IMPORT DATABASE 'T/stolen'", "COPY FROM DATABASE memory TO x"],
    "databases": [
        f"{verb} '{path}'{name}"
        for verb, path, name in product(
            ("ATTACH", "ATTACH IF NOT EXISTS", "ATTACH OR REPLACE"),
            ("T/stolen.duckdb", ":memory:", "T/stolen.sqlite", "https://example.com/x.duckdb"),
            (" AS mine", " AS mine (READ_WRITE)"),
        )
    ] + ["DETACH workbench", "DETACH memory", "USE memory", "CREATE SCHEMA mine"],
    "extensions": [
        f"{verb} {name}"
        for verb, name in product(("INSTALL", "FORCE INSTALL", "LOAD"), ("httpfs", "sqlite", "'T/x.duckdb_extension'"))
    ] + ["UPDATE EXTENSIONS", "INSTALL h FROM community", "SELECT * FROM sqlite_scan('T/x', 'y')"],
    "settings": [
        f"{verb} {name} {value}"
        for verb in ("SET", "SET GLOBAL", "SET SESSION")
        for name, value in (("enable_external_access", "= true"), ("lock_configuration", "= false"),
                            ("allowed_directories", "= ['/']"), ("memory_limit", "= '1TB'"),
                            ("temp_directory", "= 'T'"), ("log_query_path", "= 'T/stolen.log'"),
                            ("enable_logging", "= true"), ("home_directory", "= 'T'"))
    ] + ["RESET memory_limit", "SET VARIABLE x = 1", "PRAGMA memory_limit='1TB'",
         "PRAGMA enable_profiling", "PRAGMA profiling_output='T/stolen.json'", "PRAGMA database_list",
         "CALL enable_logging()", "CALL pragma_version()", "CALL force_checkpoint()"],
    "changes": [
        f"{verb}" for verb in (
            "DROP TABLE runs", "DROP VIEW curves", "DROP SCHEMA main CASCADE", "DELETE FROM metrics",
            "TRUNCATE metrics", "UPDATE metrics SET value = 0", "INSERT INTO runs (run_id) VALUES ('x')",
            "MERGE INTO runs USING runs r ON true WHEN MATCHED THEN DELETE", "ALTER TABLE runs DROP lr",
            "CREATE TABLE mine (x INT)", "CREATE TEMP TABLE mine AS FROM runs", "CREATE VIEW v AS FROM runs",
            "CREATE OR REPLACE MACRO f(x) AS x", "CREATE TEMP MACRO g() AS TABLE FROM '/etc/passwd'",
            "CREATE SEQUENCE s", "CREATE TYPE mood AS ENUM ('a')", "CREATE INDEX i ON runs (run_id)",
            "CREATE SECRET s (TYPE s3)", "COMMENT ON TABLE runs IS 'x'", "VACUUM", "ANALYZE", "CHECKPOINT",
            "FORCE CHECKPOINT", "BEGIN", "COMMIT", "ROLLBACK", "PREPARE p AS SELECT 1", "EXECUTE p",
            "DEALLOCATE p", "WITH x AS (DELETE FROM runs RETURNING *) FROM x",
        )
    ],
    "several statements": [
        f"{first}{between}{second}"
        for first, between, second in product(
            ("SELECT 1", "SELECT ';'"), (";", " ;\n", ";/* */", "; -- x\n", ";;"),
            ("DROP TABLE runs", "SELECT 2", "SET threads = 1"),
        )
    ],
    "disguises": [
        "/* SELECT */ DROP TABLE runs", "-- SELECT 1\nDROP TABLE runs", "dRoP\tTaBlE\nruns",
        "\ufeffDROP TABLE runs", "\u00a0DROP TABLE runs", "DROP\u2003TABLE runs", "DROP/**/TABLE/**/runs",
        "SELECT 1\x00; DROP TABLE runs", "ＤＲＯＰ TABLE runs", "(DROP TABLE runs)", "((COPY runs TO 'T/stolen'))",
        "SELECT * FROM \"/etc/passwd\"", "SELECT * FROM \"read_text\"('/etc/passwd')", "SELECT * FROM main.read_text('/etc/passwd')",
        "SELECT * FROM system.main.read_text('/etc/passwd')", "SELECT * FROM read_text(U&'\\002Fetc/passwd')",
        "SELECT * FROM read_text(E'\\x2Fetc\\x2Fpasswd')", "SELECT * FROM read_text(chr(47) || 'etc/passwd')",
        "SELECT * FROM read_text($$/etc/passwd$$)", "SELECT * FROM read_text(['/etc/passwd'])", "EXPLAIN/**/ANALYZE/**/DROP TABLE runs",
        "EXPLAIN EXPLAIN SELECT 1; DROP TABLE runs", "\u202eDROP TABLE runs", "SELECT 1 \u037e DROP TABLE runs",
    ],
}  # fmt: skip
RUNAWAYS = (
    "SELECT count(*) FROM range(10000000000) a, range(10000000000) b WHERE (a.range * b.range) % 7 = 8",
    "SELECT repeat('x', 3000000000) AS a",
    "SELECT list(range) FROM range(2000000000)",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "SELECT string_agg(range::VARCHAR, ',') FROM range(1000000000)",
    "SELECT DISTINCT hash(a.range, b.range) FROM range(1000000) a, range(1000000) b",
)


def statements() -> list[str]:
    """All of them but the runaways."""
    return [sql for category in CATEGORIES.values() for sql in category]
