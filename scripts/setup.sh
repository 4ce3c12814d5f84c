# Sourced by what installs. Makes .venv from a lock with hashes, once, and again when the lock changes:
#   setup LOCK
# The first of several that is new enough:
#   find_python NAME...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONDONTWRITEBYTECODE=${PYTHONDONTWRITEBYTECODE:-} HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1

find_python() {
    local candidate
    for candidate in "$@"; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$candidate"
            return
        fi
    done
    echo "需要 Python 3.11 或更高版本 · Python 3.11 or newer is needed" >&2
    exit 1
}

setup() {
    local lock=$1 stamp=.venv/.installed-${1%.lock}
    if [ -f "$stamp" ] && cmp -s "$lock" "$stamp"; then
        return
    fi
    echo "正在安装依赖（仅首次）… · Installing what it needs (first time only) …" >&2
    [ -x .venv/bin/python ] || "$(find_python python3.11 python3 python3.12 python3.13)" -m venv .venv
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check uv
    .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes --no-deps -r "$lock"
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps -e .
    # Every step of a case is a process of its own: without this each would compile what it imports again where
    # nothing may be written beside the sources. A package's template that is no Python is no failure.
    .venv/bin/python -m compileall -q -j 0 .venv/lib/python3*/site-packages >/dev/null || true
    cp "$lock" "$stamp"
}
