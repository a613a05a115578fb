#!/usr/bin/env bash
# What batches take of memory, read line by line and read whole: a table in Markdown, and a chart in benches/memory.svg.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench --bench memory -- "$PWD/benches/memory.svg"
