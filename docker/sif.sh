#!/usr/bin/env bash
# Make a SIF for Apptainer of the Docker image, with zstd: a fifth of gzip's time, no larger, and it starts faster.
#
#   docker/sif.sh [IMAGE [SIF]]
set -euo pipefail
docker=${DOCKER_CLI:-docker}
image=${1:-slt} sif=${2:-slt.sif}
# By way of an archive: Apptainer's user need not be allowed to speak to the daemon.
folder=$(mktemp -d "${TMPDIR:-/tmp}/slt-sif-XXXXXX")
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
"$docker" save --output "$folder/image.tar" "$image"
chmod 644 "$folder/image.tar"
# No cache: of an archive it would only be a copy of the image, in the home.
apptainer build --force --disable-cache --mksquashfs-args "-comp zstd -Xcompression-level 6" "$sif" "docker-archive:$folder/image.tar"
