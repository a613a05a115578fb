#!/usr/bin/env bash
# Instructions per operation, counted by callgrind: they don't move from run to run, whatever else the machine does.
# Each scenario runs twice, longer and shorter; the difference leaves out the start of the process.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is needed: https://valgrind.org" >&2; exit 1; }

# Without debug information callgrind starts faster, and counts the same.
binary=$(cargo bench --bench instructions --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p')

total() { # SCENARIO OPERATIONS TIMES
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$@" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

per_operation() { # SCENARIO OPERATIONS TIMES
  local short long
  short=$(total "$1" "$2" "$3")
  long=$(total "$1" "$2" $(($3 * 3)))
  echo $(((long - short) / ($3 * 2 * $2)))
}

row() { printf '%-48s %10s %10s\n' "$@"; }

row 'GET, instructions per operation' 'all' 'over inner'
inner=$(per_operation inner 100 10)
row 'inner call alone' "$inner" ''
for n in 1 10 100 1000 10000; do
  for scenario in naive batch bare streamed lines; do
    all=$(per_operation "$scenario" "$n" $((n < 100 ? 200 / n : n < 10000 ? 4 : 2)))
    row "$scenario, $n operations" "$all" $((all - inner))
  done
done

row 'formats, 100 GETs by the bare layer' 'all' 'over inner'
for scenario in bare odata multipart xml lines; do
  all=$(per_operation "$scenario" 100 4)
  row "$scenario" "$all" $((all - inner))
done

row 'echo of 1 KiB' 'all' 'over inner'
inner=$(per_operation inner-echo 100 10)
row 'inner call alone' "$inner" ''
for scenario in naive-echo batch-echo unordered-echo streamed-unordered-echo lines-unordered-echo; do
  all=$(per_operation "$scenario" 100 4)
  row "$scenario, 100 operations" "$all" $((all - inner))
done

row 'a request that is no batch' 'all' 'over inner'
inner=$(per_operation null 1 1000)
row 'inner call alone' "$inner" ''
all=$(per_operation pass-through 1 1000)
row 'through the layer' "$all" $((all - inner))

row 'dependencies, over a service that does nothing' 'all' 'over none'
for n in 100 1000 10000; do
  apart=$(per_operation apart "$n" $((20000 / n)))
  row "none, $n operations" "$apart" ''
  for scenario in chain chain-ahead chain-failed fan; do
    all=$(per_operation "$scenario" "$n" $((20000 / n)))
    row "$scenario, $n operations" "$all" $((all - apart))
  done
done
