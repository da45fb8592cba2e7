#!/bin/sh
# with-registry.sh COMMAND…: run it, while an image is built, as the builder's own machine reaches the package registry:
# its certificates and its pip and uv variables come as build secrets (docker/build.sh), and nothing of them stays.
set -eu
certificates=/run/secrets/certificates
if [ -s "$certificates" ]; then
    export SSL_CERT_FILE="$certificates" PIP_CERT="$certificates"
fi
if [ -s /run/secrets/registry ]; then
    set -a
    # shellcheck disable=SC1091  # there during a build only
    . /run/secrets/registry
    set +a
fi
exec "$@"
