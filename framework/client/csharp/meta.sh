#!/usr/bin/env bash
# Unity wants a .meta file for every file and folder of a package, with an id that never changes: here it is
# a hash of the path. Files in folders that Unity does not see, those ending in ~, have none.
#
#	bash meta.sh          writes those that are missing or wrong, removes those of files that are gone
#	bash meta.sh --check  says which these are, and fails if there are any
set -euo pipefail
cd "$(dirname "$0")"

importer() {
	case $1 in
	*.cs) echo MonoImporter ;;
	*.asmdef) echo AssemblyDefinitionImporter ;;
	*.jslib) echo PluginImporter ;;
	package.json) echo PackageManifestImporter ;;
	*.md) echo TextScriptImporter ;;
	*) echo DefaultImporter ;;
	esac
}

content() {
	printf 'fileFormatVersion: 2\nguid: %s\n' "$(printf 'dev.lifeline.client/%s' "$1" | md5sum | cut -c1-32)"
	[ ! -d "$1" ] || echo "folderAsset: yes"
	printf '%s:\n  externalObjects: {}\n  userData: \n  assetBundleName: \n  assetBundleVariant: \n' "$(importer "$1")"
}

bad=0
while read -r path; do
	path=${path#./}
	if [ "$(cat "$path.meta" 2>/dev/null)" != "$(content "$path")" ]; then
		bad=1
		[ "${1:-}" = --check ] && echo "$path.meta is missing or wrong" || content "$path" >"$path.meta"
	fi
done < <(find . -mindepth 1 -not -name '*.meta' -not -path '*~*' -not -path './.*' | sort)
while read -r meta; do
	if [ ! -e "${meta%.meta}" ]; then
		bad=1
		[ "${1:-}" = --check ] && echo "$meta is of a file that is gone" || rm "$meta"
	fi
done < <(find . -name '*.meta')
[ "${1:-}" != --check ] || [ $bad = 0 ]
