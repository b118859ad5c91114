#!/bin/sh
# Every figure of src/docs/figures.md that issue 15 asks for, a benchmark after the other: `sh tests/bench/table.sh > table.txt`.
#
# For a machine that does nothing else; about twenty minutes with the build. Rates are ratios within one run, medians of interleaved
# rounds; bytes and processor time are of the whole process, load generator included.
set -eu
export QUOTEGRID_LOG=error
rounds=${ROUNDS:-5}
cargo bench --locked --no-run
echo "== webhooks over 1, 32 and 256 connections: to tiny_http, to the same server storing nothing; KiB written each; while erasing"
cargo bench --locked --bench load -- --rounds "$rounds" --seconds 2
echo "== a lone webhook, signature to commit; a lone enqueue; 64 producers; claim, run and complete"
ROUNDS=$rounds WAITING=1000 cargo bench --locked --bench queue -- enqueue claim webhooks
echo "== prices over 1, 32 and 256 connections, to tiny_http"
cargo bench --locked --bench price -- --rounds "$rounds" --seconds 2
echo "== orders over 32 connections, to webhooks over 16"
cargo bench --locked --bench orders
echo "== erasing 130,000 rows, a tenth of them orders, alone and beside 4 threads that enqueue, to one plain cascading delete"
for _ in 1 2 3; do ROWS=130000 WITHOUT_KEYS=1 cargo bench --locked --bench erasure; done
echo "== file bytes a webhook that is done and erased: MiB at the end, by 100,000 webhooks"
WEBHOOKS=100000 cargo bench --locked --bench queue -- memory
echo "== what operators see of large tables, beside 16 producers"
cargo bench --locked --bench large_tables || echo "a look was over its bound"
echo "== a start, and an enqueue beside a backup of 1 GiB"
cargo bench --locked --bench queue -- start
