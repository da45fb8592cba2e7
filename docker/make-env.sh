#!/usr/bin/env bash
# Make the environment: a virtual environment holding exactly environment.lock and slt itself.
#
#   docker/make-env.sh [FOLDER [LOCK]]      # default: .venv beside this repository's files, and environment.lock
#
# Needs coreutils and one of: Python 3.11 or 3.12 with pip or venv; any Python 3 with pip or venv; uv. No root. Python
# is the one that SLT_PYTHON names (a program, or 3.11 or 3.12), else a fitting one on PATH, else one that uv downloads.
# Running it again does nothing, quickly, until environment.lock, pyproject.toml, this script or SLT_PYTHON change.
# Indexes, caches, mirrors and timeouts set for pip and uv are respected, and the proxy and certificate variables; what
# else is set for either is not. SLT_OFFLINE=1 installs from the caches alone.
set -Eeuo pipefail

readonly disk_gb=10 # 8.5 GB installed, and room for the largest download beside it
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly repo
venv=$(realpath -m "${1:-$repo/.venv}")
readonly venv lock=${2:-$repo/environment.lock} stamp=$venv/.slt-stamp own_uv=$venv-uv
case ${SLT_PYTHON:-} in 3.11 | 3.12) versions=("$SLT_PYTHON") ;; *) versions=(3.12 3.11) ;; esac
readonly versions
python="" uv=""

say() { printf 'make env: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
trap 'say "stopped at line $LINENO of $0: this is a bug in the script"' ERR

main() {
    local began=$SECONDS
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(wanted_stamp)" ] && is_chosen "$venv/bin/python"; then
        say "$venv is up to date"
        return
    fi
    leave_other_environments
    check_machine
    check_disk
    trust_the_machines_certificates
    find_python
    find_uv
    if ! is_reusable; then
        [ -n "$python" ] || download_python
        make_venv
    fi
    install_lock
    install_slt
    link_libsndfile
    prove_it
    rm -rf "$own_uv"
    wanted_stamp >"$stamp"
    say "done in $((SECONDS - began)) s: $(grep -c '==' "$lock") packages, $(du -sh "$venv" | cut -f1) in $venv," \
        "Python $(version_of "$venv/bin/python")"
}

wanted_stamp() { # the place is part of it: an environment that was moved does not work
    echo "$venv $repo $(cat "$lock" "$repo/pyproject.toml" "$repo/docker/make-env.sh" | sha256sum | cut -d' ' -f1)"
}

leave_other_environments() { # so that an activated, half-configured or hosted one cannot leak into ours
    local name
    unset PYTHONHOME PYTHONPATH PYTHONUSERBASE VIRTUAL_ENV
    for name in $(compgen -e UV_ || true) $(compgen -e PIP_ || true); do
        case $name in
            *INDEX* | *FIND_LINKS | *CACHE* | *OFFLINE | *TIMEOUT | *RETRIES | *KEYRING* | *CREDENTIALS*) ;;
            *CERT* | *TLS | *TRUSTED_HOST | *INSECURE_HOST | *PROXY | *CONFIG_FILE | *CONCURRENT* | *LINK_MODE) ;;
            UV_PYTHON_INSTALL_* | UV_PYTHON_DOWNLOADS_JSON_URL) ;;
            *) unset "$name" ;;
        esac
    done
    export UV_PYTHON_DOWNLOADS=manual UV_PYTHON_INSTALL_BIN=0 PIP_USER=0
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    case ${SLT_OFFLINE:-0} in 0) ;; *) export UV_OFFLINE=1 PIP_NO_INDEX=1 ;; esac
}

check_machine() {
    local kernel machine glibc
    kernel=$(uname -s) machine=$(uname -m)
    [ "$kernel $machine" = "Linux x86_64" ] ||
        die "this is $kernel on $machine, but environment.lock is for Linux on x86_64: use such a" \
            "machine (docs/compatibility.md says what there is for others)"
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2) || true
    if [ -z "$glibc" ] || ! printf '2.28\n%s\n' "$glibc" | sort -CV; then
        die "the C library is ${glibc:+glibc }${glibc:-not glibc}, but the wheels need glibc 2.28 or newer:" \
            "use Debian 10, Ubuntu 20.04, RHEL 8 or newer"
    fi
}

version_of() { "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing; }

fits() { # one that the wheels are made for
    "$1" -c 'import sys; here = "%d.%d" % sys.version_info[:2]
sys.exit(sys.implementation.name != "cpython" or here not in sys.argv[1:])' "${versions[@]}" 2>/dev/null
}

base_of() { "$1" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null; }

is_chosen() { # nothing was chosen, or this
    case ${SLT_PYTHON:-} in
        '') ;;
        3.11 | 3.12) fits "$1" ;;
        *) [ "$(base_of "$SLT_PYTHON")" = "$(base_of "$1")" ] ;;
    esac
}

is_reusable() { # ours, in its place: interrupted, or of an older lock
    fits "$venv/bin/python" && is_chosen "$venv/bin/python" && [ "$(made_for)" = "$venv" ]
}

find_python() { # leaves `python` empty when there is none yet
    local name
    case ${SLT_PYTHON:-} in
        '' | 3.11 | 3.12) ;;
        *)
            fits "$SLT_PYTHON" || die "SLT_PYTHON is $SLT_PYTHON ($(version_of "$SLT_PYTHON")), but CPython 3.11 or 3.12" \
                "is needed: name another program, or just 3.11 or 3.12, or leave SLT_PYTHON unset"
            python=$(command -v "$SLT_PYTHON")
            return
            ;;
    esac
    for name in "${versions[@]/#/python}" python3; do
        if fits "$name"; then
            python=$("$name" -c 'import sys; print(sys.executable)') # a shim of pyenv, say, is no interpreter
            return
        fi
    done
}

download_python() {
    local wanted='cpython>=3.11,<3.13' place address
    [ ${#versions[@]} = 2 ] || wanted=cpython@${versions[0]}
    python=$(managed_python "$wanted") && return # it did earlier
    [ -z "${UV_OFFLINE:-}" ] || die "$(no_python), and SLT_OFFLINE or UV_OFFLINE forbids to download one: unset them" \
        "once, or install one and name it in SLT_PYTHON"
    place=$("$uv" python dir)
    address=$("$uv" python list --only-downloads --show-urls "$wanted" | awk 'NR == 1 { print $1 " from " $2 }') ||
        address=$wanted
    say "$(no_python): uv downloads one (some 30 MB, 100 MB in $place):"
    say "$address"
    logged "$uv" python install "$wanted"
    python=$(managed_python "$wanted") || die "uv installed a Python in $place, but does not find it there:" \
        "name a Python 3.11 or 3.12 in SLT_PYTHON instead"
}

managed_python() { "$uv" python find --no-project --python-preference only-managed "$1" 2>/dev/null; }

no_python() { # "no Python 3.12 or 3.11 is on PATH (python3 is 3.10.12)"
    local wanted="${versions[*]}"
    echo "no Python ${wanted/ / or } is on PATH (python3 is $(version_of python3))"
}

check_disk() {
    [ -z "$(compgen -G "$venv/lib/python3.*/site-packages/torch" || true)" ] || return 0 # only a difference will be installed
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
    [ -f "$venv/pyvenv.cfg" ] || [ -z "$(ls -A "$venv" 2>/dev/null)" ] ||
        die "$venv holds files of something else than an environment: choose another folder, or remove it"
    logged "$uv" venv --quiet --no-project --clear --python "$python" "$venv"
}

made_for() { # the place written into the environment; Python began to quote it otherwise within 3.11
    sed -n "s/^ *\(export \)\{0,1\}VIRTUAL_ENV=[\"']\{0,1\}\([^\"'$]*\)[\"']\{0,1\}$/\2/p" "$venv/bin/activate" 2>/dev/null
}

find_uv() { # the environment's, the user's, or the locked one, by any Python that has pip or can make it
    local name candidates=(uv "$own_uv/bin/uv")
    ! is_reusable || candidates=("$venv/bin/uv" "${candidates[@]}")
    for name in "${candidates[@]}"; do
        if "$name" --version 2>/dev/null | awk '{ print "0.8"; print $2 }' | sort -CV; then
            uv=$name
            return
        fi
    done
    for name in "$python" python3; do
        if "$name" -m pip --version >/dev/null 2>&1; then
            install_uv "$name"
            return
        elif "$name" -m venv --clear "$own_uv/pip" >/dev/null 2>&1; then
            install_uv "$own_uv/pip/bin/python"
            return
        fi
    done
    nothing_will_do
}

install_uv() { # beside the environment; the mark of the lock would hide uv from the Pythons that slt does not run on
    mkdir -p "$own_uv"
    awk '/^[^ #]/ { on = /^uv==/ } on' "$lock" | sed 's/ ; .* \\$/ \\/' >"$own_uv/uv.txt"
    logged "$1" -m pip install --quiet --no-deps --require-hashes --only-binary :all: --upgrade --target "$own_uv" \
        -r "$own_uv/uv.txt"
    uv=$own_uv/bin/uv
}

nothing_will_do() {
    local name=${python##*/} why install
    why="no uv 0.8 or newer is on PATH, and $python has neither pip nor venv"
    [ -n "$python" ] || why="$(no_python), nor is uv 0.8 or newer, which could download one"
    install="install pip for ${name:-python3} by your system's packages"
    ! command -v dnf >/dev/null || install="'sudo dnf install python3-pip'"
    ! command -v apt-get >/dev/null || install="'sudo apt install ${name:-python3}-venv'"
    die "$why: $install and run it again, or without root put uv on PATH, which is one file ('conda install uv'," \
        "'pipx install uv' or uv's own installer)"
}

install_lock() { # with bytecode: where Python may not write it later, every start would compile torch anew, for 5 s
    logged "$uv" pip sync --python "$venv/bin/python" --require-hashes --only-binary :all: --compile-bytecode "$lock"
}

install_slt() { # without network or isolation: setuptools is in the lock
    logged "$uv" pip install --quiet --python "$venv/bin/python" --offline --no-deps --no-build-isolation -e "$repo"
}

link_libsndfile() { # where fairseq2n looks after the dynamic linker
    local file
    file=$("$venv/bin/python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')/site-packages
    file=$file/_soundfile_data/libsndfile_x86_64.so
    [ -f "$venv/lib/$file" ] || die "the soundfile wheel holds no libsndfile at $venv/lib/$file: 'make lock' took another?"
    ln -sfn "$file" "$venv/lib/libsndfile.so.1"
}

prove_it() {
    logged "$venv/bin/python" -c 'import fairseq2n.bindings'
}

logged() { # run a command; when it fails, say in one line what stood in the way
    local log
    log=$(mktemp "${TMPDIR:-/tmp}/make-env.XXXXXX")
    if "$@" 2>&1 | tee "$log" | sed -u '/^ [-+~] /d' >&2; then # without uv's list of every package
        rm -f "$log"
        return
    fi
    die "$(reason "$log" "$2") (the words of '$(basename "$1") ${2:-} ${3:-}' are above and in $log)"
}

reason() {
    said() { grep -qiE "$1" "$log"; }
    local log=$1
    if said 'no space left'; then
        echo "the disk is full: free some space and run it again; it continues where it stopped"
    elif said 'certificate'; then
        echo "the server's certificate is not trusted: set SSL_CERT_FILE to your network's CA bundle"
    elif [ "$2" = python ]; then
        echo "Python could not be downloaded: check the network, HTTPS_PROXY or UV_PYTHON_INSTALL_MIRROR," \
            "or name a Python 3.11 or 3.12 in SLT_PYTHON"
    elif said 'hash mismatch|do not match the hashes'; then
        echo "a downloaded file is not the one environment.lock names: run it again;" \
            "if that does not help, the package registry in use serves other files than the lock was made from"
    elif said 'network was disabled|offline' || { [ -n "${PIP_NO_INDEX:-}" ] && said 'no matching distribution'; }; then
        echo "something is missing from the cache, and SLT_OFFLINE or UV_OFFLINE forbids the network: unset them once"
    elif said 'dns|resolve|connect|timed? ?out|sending request|fetch|no matching distribution'; then
        echo "the package registry could not be reached: check the network, HTTPS_PROXY, or the registry set for uv" \
            "and pip, and run it again; it continues where it stopped"
    else
        echo "it failed"
    fi
}

main
