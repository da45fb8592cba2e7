#!/usr/bin/env bash
# Run the SIF as a compute node would: as an ordinary user, nothing of the image writable, offline, with a bound
# scratch; once with nothing of the home in it, once with a home in which nothing may be written.
#
#   docker/smoke-sif.sh [SIF]
set -euo pipefail
sif=$(realpath "${1:-slt.sif}")
folder=$(mktemp -d)
trap 'chmod 755 "$folder/home"; rm -rf "$folder"' EXIT
mkdir "$folder/home" "$folder/scratch" "$folder/work"
chmod 555 "$folder/home"
export APPTAINERENV_SLT_OFFLINE=1

within() { # --nv is harmless without a card
    apptainer exec --nv --bind "$folder/work" --pwd "$folder/work" --bind "$folder/scratch:/slt" "$@"
}
contained() { within --containall "$sif" "$@"; }
at_home() { within --home "$folder/home" "$sif" "$@"; }
step() {
    local began=$SECONDS
    echo "smoke-sif: $1" >&2
    "${@:2}"
    echo "smoke-sif: $1: $((SECONDS - began)) s" >&2
}
translated() {
    local text
    text=$("$@" slt translate video.mp4 --save-features features)
    [ "$text" = "The farmer carries the beautiful bird." ] || { echo "smoke-sif: read '$text'" >&2; exit 1; }
}
trained() {
    contained slt prepare synthetic --out corpus --clips 20
    for split in train val; do
        contained slt extract-features "corpus/$split.tsv" --model demo --out "features/$split"
    done
    contained slt train-encoder synthetic --set trainer.epochs=1 --set trainer.validate_every=1 \
        --set data.batch_clips=4 --set optim.warmup_steps=1
    contained slt translate video.mp4 --model runs/synthetic/bundle
}
left_alone() {
    [ -z "$(ls -A "$folder/home")" ] || { echo "smoke-sif: something was written to the home" >&2; exit 1; }
    [ -z "$(find "$folder" ! -uid "$(id -u)")" ] || { echo "smoke-sif: not all files are the caller's" >&2; exit 1; }
}

project=$(dirname "$(dirname "${BASH_SOURCE[0]}")")
cp "$project"/src/slt/demo/clips/videos/test/test-000000.mp4 "$folder/work/video.mp4"
step "doctor" contained slt doctor
step "demo" contained slt demo
step "translate, from a standing start to the text" translated contained
step "translate, with a home that is read-only" translated at_home
step "prepare, extract-features, train-encoder, translate" trained
step "the home, and who owns what is left" left_alone
