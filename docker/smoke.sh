#!/usr/bin/env bash
# Run the image as any user would: as a user it does not know, with nothing writable but /tmp and what is mounted,
# without a network.
#
#   docker/smoke.sh [IMAGE]
set -euo pipefail
docker=${DOCKER_CLI:-docker}
image=${1:-slt}
uid=12345
folder=$(mktemp -d)
# What a container wrote belongs to its user: only that user, or root, can remove it.
trap 'run --entrypoint rm "$image" -rf run features >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT

run() {
    "$docker" run --rm --network none --read-only --tmpfs /tmp --user "$uid:$uid" --volume "$folder:/data" "$@"
}
step() {
    local began=$SECONDS
    echo "smoke: $1" >&2
    "${@:2}"
    echo "smoke: $1: $((SECONDS - began)) s" >&2
}
owned() { # every file of these is the caller's
    [ -e "$1" ] && [ -z "$(find "$@" ! -uid "$uid")" ] || { echo "smoke: $* is not owned by $uid" >&2; exit 1; }
}
translated() {
    local text
    text=$(run "$image" translate video.mp4 --save-features features)
    [ "$text" = "The farmer carries the beautiful bird." ] || { echo "smoke: read '$text'" >&2; exit 1; }
    owned "$folder/features"
}
trained() { # a few updates, on clips drawn and features extracted by the image
    local split
    run "$image" prepare synthetic --out run/corpus --clips 20
    for split in train val; do
        run --workdir /data/run "$image" extract-features "corpus/$split.tsv" --model demo --out "features/$split"
    done
    run --workdir /data/run "$image" train-encoder synthetic --set trainer.epochs=1 --set trainer.validate_every=1 \
        --set data.batch_clips=4 --set optim.warmup_steps=1
    owned "$folder/run"
    run "$image" translate video.mp4 --model run/runs/synthetic/bundle
}

chmod 777 "$folder"
cp "$(dirname "${BASH_SOURCE[0]}")/../src/slt/demo/clips/videos/test/test-000000.mp4" "$folder/video.mp4"
step "doctor" run --env SLT_OFFLINE=1 "$image" doctor
step "demo" run "$image" demo
step "translate, from a standing start to the text" translated
step "prepare, extract-features, train-encoder, translate" trained
step "the volume, read-only" run --volume "$folder:/slt:ro" "$image" models list
