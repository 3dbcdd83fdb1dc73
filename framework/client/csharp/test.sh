#!/usr/bin/env bash
# Builds and tests the C# client. Needs Go, mcs and mono, of Debian's packages mono-mcs and
# mono-runtime-sgen with libmono-system-core4.0-cil; installs nothing.
#
#	bash framework/client/csharp/test.sh           everything, a few minutes
#	bash framework/client/csharp/test.sh quick     what needs no server and no AOT: ten seconds
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
say() { printf -- '-- %s\n' "$*"; }
# The C# that Mono's compiler takes: Unity 2019 and later take it too.
compile() { mcs -nologo -langversion:7 -optimize+ -debug -warnaserror -warn:4 "$@"; }

say "the package"
bash meta.sh --check
if grep -nE 'System\.Reflection|System\.Threading\.Thread\b|new Thread|ThreadPool|Task\.Run|ConfigureAwait|\bunsafe\b|DllImport|Activator|dynamic |AuthenticateAsClient[^;]*true' Runtime/*.cs; then
	echo "Runtime/ uses what it must not"
	exit 1
fi
if grep -nE '^\s*(public |internal |private )?static [^(={]*(;|=)' Runtime/*.cs | grep -vE 'static readonly|=>' ; then
	echo "Runtime/ has static state"
	exit 1
fi

say "compile: the library, the glue for Unity, the samples, the README's program, the tests, the bot"
# With -doc a public member without a comment is an error.
compile -target:library -doc:"$work/Lifeline.xml" -out:"$work/Lifeline.dll" Runtime/*.cs
if mcs -nologo -langversion:7 -target:library -doc:"$work/Lifeline.Unity.xml" -out:"$work/Lifeline.Unity.dll" -r:"$work/Lifeline.dll" Unity/*.cs Tests~/Stub/Unity/*.cs 2>&1 | grep '^Unity/'; then
	exit 1
fi
compile -target:library -define:UNITY_WEBGL -out:"$work/Lifeline.WebGL.dll" -r:"$work/Lifeline.dll" Unity/*.cs Tests~/Stub/Unity/*.cs
compile -define:ENABLE_LEGACY_INPUT_MANAGER -out:"$work/unity.exe" Runtime/*.cs Unity/*.cs Samples~/Arena/*.cs Tests~/Stub/Unity/*.cs Tests~/Unity/*.cs Tests~/FakeServer.cs Tests~/Check.cs
compile -target:library -out:"$work/Lifeline.Godot.dll" -r:"$work/Lifeline.dll" Samples~/Godot/*.cs Samples~/Console/Messages.cs Tests~/Stub/Godot/*.cs
compile -out:"$work/player.exe" -r:"$work/Lifeline.dll" Samples~/Console/*.cs
sed -n '/^```csharp$/,/^```$/{//!p}' README.md >"$work/Readme.cs"
compile -target:library -out:"$work/Readme.dll" -r:"$work/Lifeline.dll" "$work/Readme.cs" Samples~/Arena/Messages.cs Unity/*.cs Tests~/Stub/Unity/*.cs
compile -out:"$work/test.exe" Runtime/*.cs Tests~/*.cs Samples~/Console/Messages.cs
compile -out:"$work/bot.exe" Runtime/*.cs Tests~/Bot/*.cs
test() { mono --debug "$work/test.exe" "$@"; }

if command -v node >/dev/null; then
	say "the WebSocket of WebGL builds"
	node Tests~/jslib.mjs
fi

say "vectors, scripts, the client against a played server"
test unit "$root"

say "the glue for Unity: pauses, scenes, reloads, the end"
mono --debug "$work/unity.exe"

say "the scripts once more, as an outsider plays them"
(cd "$root" && go run ./framework/conform core -- mono --debug "$work/test.exe" core)

say "random bytes"
test fuzz "$root" 5000
[ "${1:-}" != quick ] || exit 0

say "the scripts over sockets"
(cd "$root" && for carrier in tcp stcp ws plain-kcp kcp; do go run ./framework/conform client -carrier $carrier -- mono --debug "$work/test.exe" client; done)

say "random cases, against Go"
(cd "$root" && go build -o "$work/" ./framework/client/foreign/cases ./framework/client/foreign/probe ./examples/room)
"$work/cases" -n 10000 -talks 40 >"$work/cases.txt"
test cases "$work/cases.txt"

say "random messages of each generated type, against Go"
(cd "$root" && go run ./framework/gen/internal/cases -n 10000) >"$work/messages.txt"
test messages "$work/messages.txt"

say "real servers"
test live "$work/probe"
MONO_GC_PARAMS=nursery-size=64k mono "$work/test.exe" garbage "$work/probe"

say "full AOT: no JIT, as on iOS and consoles"
mkdir "$work/aot"
# What System.dll refers to is loaded with it, so all of these have to be compiled.
for assembly in mscorlib System System.Core System.Configuration System.Numerics System.Security System.Xml Mono.Security; do
	cp "$(dirname "$(command -v mono)")/../lib/mono/4.5/$assembly.dll" "$work/aot/"
done
cp "$work/test.exe" "$work/bot.exe" "$work/aot/"
(
	cd "$work/aot"
	# It complains of methods of the system that it can't compile, which nothing here calls.
	ls *.dll *.exe | MONO_PATH=. xargs -P "$(nproc)" -n 1 mono --aot=full >log 2>&1 || true
	for assembly in *.dll *.exe; do
		[ -e "$assembly.so" ] || { cat log; exit 1; }
	done
	MONO_PATH=. mono --full-aot test.exe unit "$root"
	MONO_PATH=. mono --full-aot test.exe cases "$work/cases.txt"
	MONO_PATH=. mono --full-aot test.exe messages "$work/messages.txt"
	# The TLS of this Mono needs its JIT; that of an engine is its own.
	MONO_PATH=. mono --full-aot test.exe live "$work/probe" notls
	MONO_PATH=. MONO_GC_PARAMS=nursery-size=64k mono --full-aot test.exe garbage "$work/probe"
	MONO_PATH=. mono --full-aot test.exe memory "$work/probe" 1000
)

say "bots against the room server, on all carriers at once; two runs without a JIT"
"$work/room" -kcp 127.0.0.1:0 -plain-kcp 127.0.0.1:0 -tcp 127.0.0.1:0 -stcp 127.0.0.1:0 -ws 127.0.0.1:0 -http 127.0.0.1:0 -bots 0 >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do
	grep -q '^bots' "$work/log" && break
	sleep 0.1
done
url() { grep '^players' "$work/log" | grep -oE "(^| )$1://[^ ]+" | tr -d ' '; }
read -r _ key <<<"$(grep '^key' "$work/log")"
bots=()
bot() { # name of the run, then flags
	local name=$1
	shift
	mono "$work/bot.exe" -json -n 50 -duration 10s -room "$name" "$@" >"$work/$name" & bots+=($!)
}
bot kcp -addr "$(url kcp)" -key "$key" -cut 3s
bot rebind -addr "$(url kcp)" -key "$key" -cut 0 -rebind 2s
bot plain-kcp -addr "$(url plain-kcp)" -cut 3s
bot tcp -addr "$(url tcp)" -cut 3s
bot stcp -addr "$(url stcp)" -key "$key" -cut 3s
bot ws -addr "$(url ws)" -cut 3s
for carrier in kcp stcp; do
	(cd "$work/aot" && MONO_PATH=. exec mono --full-aot bot.exe -json -n 10 -duration 10s -room "aot-$carrier" -addr "$(url $carrier)" -key "$key" -cut 3s >"$work/aot-$carrier") & bots+=($!)
done
for bot in "${bots[@]}"; do
	wait "$bot" || failed=1
done
tail -n +1 "$work"/{kcp,rebind,plain-kcp,tcp,stcp,ws,aot-kcp,aot-stcp}
[ -z "${failed:-}" ] || { echo "bots failed"; exit 1; }
grep -q '"resumes":0,' "$work/rebind"
say done
