#!/usr/bin/env bash
# Requests of C# bots and of Go bots, at the same time, through one bad network: 100 ms there and back, 5 % loss
# each way. Prints the round trips of both. Needs what test.sh needs; no part of it, since a busy machine is slower.
#
#	bash framework/client/csharp/latency.sh              a minute of 15 players each on kcp, as a game of 60 frames a second
#	bash framework/client/csharp/latency.sh plain-kcp 2ms 20s
set -euo pipefail
cd "$(dirname "$0")"
carrier=${1:-kcp} frame=${2:-16ms} duration=${3:-60s}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
mcs -nologo -langversion:7 -optimize+ -out:"$work/csharp.exe" Runtime/*.cs Tests~/Bot/*.cs
(cd ../../.. && go build -o "$work/" ./examples/room ./examples/room/bot ./bench/link)

"$work/room" -kcp 127.0.0.1:0 -plain-kcp 127.0.0.1:0 -tcp 127.0.0.1:0 -stcp 127.0.0.1:0 -ws 127.0.0.1:0 -http 127.0.0.1:0 -bots 0 >"$work/log" 2>&1 &
until grep -qs '^bots' "$work/log"; do sleep 0.1; done
read -r _ key <<<"$(grep '^key' "$work/log")"
to=$(grep '^players' "$work/log" | grep -oE "(^| )$carrier://[^ ]+" | tr -d ' ')
port=$((30000 + RANDOM % 9000))
"$work/link" -delay 50ms -loss 5 -seed $RANDOM -udp "127.0.0.1:$port=${to#*://}" &
sleep 0.5

flags=(-json -n 15 -duration "$duration" -cut 0 -addr "$carrier://127.0.0.1:$port" -key "$key")
mono "$work/csharp.exe" "${flags[@]}" -room csharp -frame "$frame" >"$work/csharp" & csharp=$!
"$work/bot" "${flags[@]}" -room go >"$work/go" 2>"$work/progress" & go=$!
wait $csharp
wait $go || cat "$work/progress"
printf 'C#  %s\n' "$(grep -oE 'p(50|99)_ms":[0-9.]+' "$work/csharp" | tr -d '"' | tr '\n' ' ')"
printf 'Go  %s\n' "$(grep -oE '"name":"ping"[^{}[]*' "$work/go" | grep -oE 'p(50|99)_ms":[0-9.]+' | tr -d '"' | tr '\n' ' ')"
