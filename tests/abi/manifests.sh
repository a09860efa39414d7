#!/bin/sh
# SPDX-License-Identifier: MIT
# What examples/ has besides programs is well-formed: manifests, units, options of the build.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary
missing=

# Pods: two containers, of which the side-car has one right and no more; what is mounted is there.
cat >"$tmp/pods.py" <<'END'
import sys
import yaml

for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        spec = yaml.safe_load(file)["spec"]
    application, side_car = spec["containers"]
    rule, = spec["initContainers"]
    for container in (rule, side_car):
        rights = container["securityContext"]
        assert rights["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}, path
        assert rights["allowPrivilegeEscalation"] is False, path
        assert rights["readOnlyRootFilesystem"] is True, path
    assert "add" not in application["securityContext"]["capabilities"], path
    mounted = {mount["name"] for mount in side_car.get("volumeMounts", [])}
    assert mounted == {volume["name"] for volume in spec.get("volumes", [])}, path
    words = rule["args"] + side_car["args"]
    assert all(isinstance(word, str) for word in words), path + ": arguments are strings"
END
python=python3
$python -c 'import yaml' 2>/dev/null || python=/usr/bin/python3 # the one that has Debian's modules
if $python -c 'import yaml' 2>/dev/null; then
	$python "$tmp/pods.py" "$SOURCE"/examples/container/*.yaml || fail "a pod is not as it should be"
else
	missing="$missing PyYAML"
fi

# The options that the image is built with exist.
sed -n 's/.*/ & /; s/[[:space:]]-D/\n-D/gp' "$SOURCE/examples/container/Containerfile" |
	sed -n 's/^-D\([a-z_]*\)=.*/\1/p' | grep -v '^default_library$' >"$tmp/options"
[ -s "$tmp/options" ] || fail "found no option in Containerfile"
while read -r option; do
	grep -q "^option('$option'" "$SOURCE/meson_options.txt" || fail "there is no option $option"
done <"$tmp/options"

# Units: systemd finds no fault, with our tool where they say it is.
if command -v systemd-analyze >/dev/null; then
	for unit in "$SOURCE"/examples/systemd/*; do
		sed "s,/usr/bin/mnfq,$(command -v true)," "$unit" >"$tmp/$(basename "$unit")"
	done
	run systemd-analyze verify --man=no "$tmp"/*.service "$tmp"/*.socket "$tmp"/*.timer
	[ ! -s "$tmp/log" ] || { cat "$tmp/log"; fail "systemd complains"; }
else
	missing="$missing systemd-analyze"
fi
[ -z "$missing" ] || skip "not all was looked at: there is no$missing"
