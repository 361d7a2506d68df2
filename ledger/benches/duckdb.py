"""Loss and duplicates, asked of DuckDB: what reconciling journals is compared with.

Reads from standard input which sequences are lost, unacknowledged and duplicated (JSON; the benchmark
`reconcile` sends it), makes native tables of the same data, and prints the CPU time of two queries on
one thread, and their answers:

- loss: acknowledged sequences that are not in the log (an anti-join);
- duplicates: sequences that are in the log more than once (a group-by).

Making the tables does not count. Needs the package `duckdb`; the benchmark looks for it here, from the
repository's root:

    python3 -m venv target/duckdb && target/duckdb/bin/pip install duckdb
"""

import json
import resource
import sys
import time

# Or this file would be taken for the package.
sys.path.pop(0)
import duckdb  # noqa: E402


def main():
    data = json.load(sys.stdin)
    db = duckdb.connect()
    db.execute("SET threads = 1")
    db.execute("SET preserve_insertion_order = false")
    for name in ["lost", "unacked", "duplicated"]:
        db.execute(f"CREATE TABLE {name} (stream USMALLINT, sequence UBIGINT)")
        if data[name]:
            db.executemany(f"INSERT INTO {name} VALUES (?, ?)", data[name])
    db.execute(
        f"""
        CREATE TABLE acked AS
        SELECT * FROM (
            SELECT stream::USMALLINT AS stream, sequence::UBIGINT AS sequence
            FROM range({data["streams"]}) AS streams(stream), range({data["per_stream"]}) AS sequences(sequence)
        )
        ANTI JOIN unacked USING (stream, sequence)
        """
    )
    db.execute(
        """
        CREATE TABLE log AS
        SELECT stream, sequence, row_number() OVER () AS record_offset
        FROM (
            SELECT * FROM acked ANTI JOIN lost USING (stream, sequence)
            UNION ALL
            SELECT * FROM duplicated
        )
        """
    )
    loss_s, lost = timed(db, "SELECT count(*) FROM acked ANTI JOIN log USING (stream, sequence)")
    duplicates_s, duplicated = timed(
        db,
        """
        SELECT count(*)
        FROM (SELECT stream, sequence FROM log GROUP BY stream, sequence HAVING count(*) > 1)
        """,
    )
    answer = {
        "version": duckdb.__version__,
        "loss_s": loss_s,
        "duplicates_s": duplicates_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000,
        "lost": lost,
        "duplicated": duplicated,
    }
    print(json.dumps(answer))


def timed(db, query):
    """CPU time of a query in seconds, and its one value."""
    start = time.process_time()
    (value,) = db.execute(query).fetchone()
    return time.process_time() - start, value


main()
