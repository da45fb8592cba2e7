#!/usr/bin/env bash
# Make the environment: a virtual environment holding exactly environment.lock and slt itself.
#
#   docker/make-env.sh [FOLDER [LOCK]]      # default: .venv beside this repository's files, and environment.lock
#
# Needs Python 3.11 and coreutils, no root. Running it again does nothing, quickly, until environment.lock,
# pyproject.toml or this script change. pip's, uv's and the proxy and certificate variables are respected;
# SLT_OFFLINE=1 installs from the caches alone.
set -Eeuo pipefail

readonly disk_gb=9 # 7.7 GB installed, and room for the largest download beside it
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly repo
venv=$(realpath -m "${1:-$repo/.venv}")
readonly venv lock=${2:-$repo/environment.lock} stamp=$venv/.slt-stamp

say() { printf 'make env: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
trap 'say "stopped at line $LINENO of $0: this is a bug in the script"' ERR

main() {
    local began=$SECONDS
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(wanted_stamp)" ]; then
        say "$venv is up to date"
        return
    fi
    leave_other_environments
    check_machine
    find_python
    check_disk
    trust_the_machines_certificates
    make_venv
    find_uv
    install_lock
    install_slt
    link_libsndfile
    prove_it
    wanted_stamp >"$stamp"
    say "done in $((SECONDS - began)) s: $(grep -c '==' "$lock") packages, $(du -sh "$venv" | cut -f1) in $venv"
}

wanted_stamp() { # the place is part of it: an environment that was moved does not work
    echo "$venv $repo $(cat "$lock" "$repo/pyproject.toml" "$repo/docker/make-env.sh" | sha256sum | cut -d' ' -f1)"
}

leave_other_environments() { # so that an activated or half-configured one cannot leak into ours
    unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX
    export UV_PYTHON_DOWNLOADS=never
    case ${SLT_OFFLINE:-0} in 0) ;; *) export UV_OFFLINE=1 PIP_NO_INDEX=1 ;; esac
}

check_machine() {
    local kernel machine glibc
    kernel=$(uname -s) machine=$(uname -m)
    [ "$kernel $machine" = "Linux x86_64" ] ||
        die "this is $kernel on $machine, but fairseq2 has wheels for Linux on x86_64 only: use such a machine"
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2) || true
    if [ -z "$glibc" ] || ! printf '2.28\n%s\n' "$glibc" | sort -CV; then
        die "the C library is ${glibc:+glibc }${glibc:-not glibc}, but the wheels need glibc 2.28 or newer:" \
            "use Debian 10, Ubuntu 20.04, RHEL 8 or newer"
    fi
}

find_python() {
    local name
    for name in python3.11 python3; do
        if "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            python=$name
            return
        fi
    done
    die "Python 3.11 is missing (python3 is $(python3 -V 2>/dev/null || echo missing too)):" \
        "'sudo apt install python3.11 python3.11-venv', or without root 'conda create -p ~/python3.11 python=3.11'" \
        "or 'uv python install 3.11'; then put its python3.11 on PATH"
}

check_disk() {
    [ ! -d "$venv/lib/python3.11/site-packages/torch" ] || return 0 # only a difference will be installed
    local folder free_kb
    for folder in "$(dirname "$venv")" "${UV_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}}"; do
        while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
        free_kb=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
        [ "$free_kb" -ge $((disk_gb * 1024 * 1024)) ] ||
            die "$((free_kb / 1024 / 1024)) GB are free under $folder, but $disk_gb GB are needed:" \
                "free some, or choose other places by 'docker/make-env.sh FOLDER' and UV_CACHE_DIR"
    done
}

trust_the_machines_certificates() { # a company's own authority is in the machine's bundle, not in pip's or uv's
    local bundle
    for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -s "$bundle" ]; then
            export SSL_CERT_FILE=$bundle PIP_CERT=${PIP_CERT:-$bundle}
            return
        fi
    done
}

make_venv() {
    local options=()
    if "$venv/bin/python" -c 'import encodings' 2>/dev/null && [ "$(made_for)" = "$venv" ]; then
        return # ours, in its place: interrupted, or of an older lock
    fi
    if uv --version >/dev/null 2>&1; then
        options+=(--without-pip)
    else
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            die "$python has no venv and ensurepip: 'sudo apt install python3.11-venv'," \
                "or without root put uv on PATH (one file), which stands in for them"
    fi
    "$python" -m venv --clear "${options[@]}" "$venv" || die "could not make $venv: is its folder writable?"
}

made_for() { # the place written into the environment; Python began to quote it otherwise within 3.11
    sed -n "s/^ *\(export \)\{0,1\}VIRTUAL_ENV=[\"']\{0,1\}\([^\"'$]*\)[\"']\{0,1\}$/\2/p" "$venv/bin/activate" 2>/dev/null
}

find_uv() { # the locked one when it is there, else the user's, else the locked one by pip
    if [ -x "$venv/bin/uv" ]; then
        uv=$venv/bin/uv
    elif uv --version >/dev/null 2>&1; then
        uv=uv
    else
        awk '/^[^ #]/ { on = /^uv==/ } on' "$lock" >"$venv/uv.txt"
        logged "$venv/bin/python" -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r "$venv/uv.txt"
        uv=$venv/bin/uv
    fi
}

install_lock() { # with bytecode: where Python may not write it later, every start would compile torch anew, for 5 s
    logged "$uv" pip sync --python "$venv/bin/python" --require-hashes --only-binary :all: --compile-bytecode "$lock"
}

install_slt() { # without network or isolation: setuptools is in the lock
    logged "$uv" pip install --quiet --python "$venv/bin/python" --offline --no-deps --no-build-isolation -e "$repo"
}

link_libsndfile() { # where fairseq2n looks after the dynamic linker
    local file=python3.11/site-packages/_soundfile_data/libsndfile_x86_64.so
    [ -f "$venv/lib/$file" ] || die "the soundfile wheel holds no libsndfile at $venv/lib/$file: 'make lock' took another?"
    ln -sfn "$file" "$venv/lib/libsndfile.so.1"
}

prove_it() {
    logged "$venv/bin/python" -c 'import fairseq2n.bindings'
}

logged() { # run a command; when it fails, say in one line what stood in the way
    local log=$venv/make-env.log
    if "$@" 2>&1 | tee "$log" | sed -u '/^ [-+~] /d' >&2; then # without uv's list of every package
        rm -f "$log"
        return
    fi
    die "$(reason "$log") (the words of '$(basename "$1") ${2:-} ${3:-}' are above and in $log)"
}

reason() {
    said() { grep -qiE "$1" "$log"; }
    local log=$1
    if said 'no space left'; then
        echo "the disk is full: free some space and run it again; it continues where it stopped"
    elif said 'hash mismatch|do not match the hashes'; then
        echo "a downloaded file is not the one environment.lock names: run it again;" \
            "if that does not help, the package registry in use serves other files than the lock was made from"
    elif said 'network was disabled|offline'; then
        echo "something is missing from the cache, and SLT_OFFLINE or UV_OFFLINE forbids the network: unset them once"
    elif said 'certificate'; then
        echo "the package registry's certificate is not trusted: set SSL_CERT_FILE to your network's CA bundle"
    elif said 'dns|resolve|connect|timed? ?out|sending request|fetch|no matching distribution'; then
        echo "the package registry could not be reached: check the network, HTTPS_PROXY, or the registry set for uv" \
            "and pip, and run it again; it continues where it stopped"
    else
        echo "it failed"
    fi
}

main
