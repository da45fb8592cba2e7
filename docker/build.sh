#!/usr/bin/env bash
# Build a stage of the Dockerfile as this machine reaches its package registry.
#
#   docker/build.sh TARGET TAG [docker build options…]      # for instance: docker/build.sh slt slt:latest
#
# BASE_IMAGE chooses another base than the pinned one. Proxy variables travel as Docker's own build arguments; the
# certificates that SSL_CERT_FILE names, and pip's and uv's index variables, as secrets that no layer holds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
docker=${DOCKER_CLI:-docker}
target=$1 tag=$2
shift 2

registry=$(mktemp)
trap 'rm -f "$registry"' EXIT
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_INDEX_STRATEGY; do
    [ -z "${!name:-}" ] || printf '%s=%q\n' "$name" "${!name}" >>"$registry"
done
options=(--secret "id=registry,src=$registry")
[ ! -s "${SSL_CERT_FILE:-}" ] || options+=(--secret "id=certificates,src=$SSL_CERT_FILE")
[ -z "${BASE_IMAGE:-}" ] || options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    [ -z "${!name:-}" ] || options+=(--build-arg "$name")
done
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)
source=$(git config --get remote.origin.url 2>/dev/null || true)
case $source in *@*) source= ;; esac # it may hold a password, and a label is there for all to read

export DOCKER_BUILDKIT=1
"$docker" build --target "$target" --tag "$tag" "${options[@]}" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "SOURCE=$source" "$@" .
