#!/bin/sh
# Builds chatbox and installs it into PREFIX/bin, with a link for each applet, and manual pages and
# completions into PREFIX/share; or takes all that away again. What was installed is written down in
# PREFIX/share/chatbox/installed, one line each: "file CHECKSUM PATH" or "link TARGET PATH". Only
# what stands there, and is still as it was, counts as our own.
set -eu

usage() {
    cat <<EOF
Usage: install.sh [--prefix DIR] [--binary FILE] [--force]
       install.sh [--prefix DIR] --uninstall

Builds chatbox and installs it into DIR/bin, with links for its applets, and
manual pages and completions for bash, zsh and fish into DIR/share. Run again,
it upgrades what is there.

Options:
  --prefix DIR   where to install; by default \$PREFIX, or else \$HOME/.local
  --binary FILE  install this executable instead of building one
  --force        overwrite files and links that are not our own
  --uninstall    remove what was installed, and nothing else
  -h, --help     display usage information

Environment:
  PREFIX         the same as --prefix
  DESTDIR        goes before every path that is written to, for packagers

Example:
  ./install.sh --prefix /usr/local
EOF
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

wrong_usage() {
    echo "install.sh: $*; see install.sh --help" >&2
    exit 2
}

# The checksum of a file, in one word.
checksum() {
    cksum <"$1" | tr ' ' '-'
}

exists() {
    [ -e "$1" ] || [ -L "$1" ]
}

# The record's line for what is at a path, given relative to the prefix.
describe() {
    if [ -L "$root/$1" ]; then
        echo "link $(readlink "$root/$1") $1"
    elif [ -f "$root/$1" ]; then
        echo "file $(checksum "$root/$1") $1"
    fi
}

# Whether a path holds what we installed there.
is_ours() {
    [ -f "$record" ] && grep -Fqx -e "$(describe "$1")" "$record"
}

# Removes the folders, below the root, that a path was in, if they are empty.
remove_empty() {
    (cd "$root" && rmdir -p "${1%/*}" 2>/dev/null) || :
}

uninstall() {
    [ -f "$record" ] || fail "nothing was installed in $root by install.sh"
    left=
    while read -r _ _ path; do
        if is_ours "$path"; then
            rm -f "$root/$path"
        elif exists "$root/$path"; then
            left="$left $root/$path"
        fi
    done <"$record"
    # Folders that are empty now are of no use to anybody.
    while read -r _ _ path; do
        remove_empty "$path"
    done <"$record"
    rm -f "$record"
    remove_empty share/chatbox/installed
    rmdir "$root" 2>/dev/null || :
    [ -z "$left" ] || fail "left what is not as it was installed:$left"
    echo "removed chatbox from $bin"
}

# Builds chatbox; its executable is where cargo says. If it builds for several targets, it is the
# one that runs here.
build() {
    command -v cargo >/dev/null 2>&1 || fail "cargo is needed to build chatbox: see https://rustup.rs"
    (cd "$source" && cargo build --release --locked --message-format=json-render-diagnostics) \
        >"$stage/messages" || fail "cargo cannot build chatbox"
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source/Cargo.toml")
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$stage/messages" >"$stage/executables"
    while read -r binary; do
        [ "$("$binary" --version 2>/dev/null)" != "chatbox $version" ] || return 0
    done <"$stage/executables"
    fail "cargo has built nothing that runs here and is chatbox $version"
}

# What is staged to be installed beside the executable and its links.
documents() {
    (cd "$stage" && find share -type f | sort)
}

# The record of what is about to be installed.
plan() {
    echo "file $(checksum "$binary") bin/chatbox"
    for applet in $applets; do
        echo "link chatbox bin/$applet"
    done
    documents | while read -r path; do
        echo "file $(checksum "$stage/$path") $path"
    done
}

refuse_to_overwrite() {
    foreign=
    while read -r _ _ path; do
        if [ -d "$root/$path" ] && [ ! -L "$root/$path" ]; then
            fail "$root/$path is a folder"
        elif exists "$root/$path" && ! is_ours "$path"; then
            foreign="$foreign $root/$path"
        fi
    done
    [ -z "$foreign" ] || [ "$force" = yes ] ||
        fail "not overwriting what is not our own:$foreign (--force would)"
}

# Puts a new file or link in the place of an old one, in one step: what runs goes on running.
replace() {
    # A link to a folder would be followed.
    [ ! -d "$2" ] || rm -f "$2"
    mv -f "$1" "$2"
}

# Copies a file with these permissions to where an old one may be.
copy() {
    new=${3%/*}/.chatbox.new
    cp "$2" "$new"
    chmod "$1" "$new"
    replace "$new" "$3"
}

# Whether a path stands in a record.
is_listed() {
    while read -r _ _ listed; do
        [ "$listed" != "$1" ] || return 0
    done <"$2"
    return 1
}

# Removes what an earlier version installed and this one does not have.
remove_outdated() {
    while read -r kind target path; do
        if is_listed "$path" "$record.new"; then
            continue
        elif is_ours "$path"; then
            echo "removing $root/$path ($kind $target), which is no longer part of chatbox"
            rm -f "$root/$path"
            remove_empty "$path"
        elif exists "$root/$path"; then
            echo "left $root/$path, which is no longer part of chatbox, but not as it was installed"
        fi
    done <"$record"
}

install() {
    stage=$(mktemp -d)
    trap 'rm -rf "$stage"' EXIT
    [ -n "$binary" ] || build
    applets=$("$binary" --list) || applets=
    [ -n "$applets" ] || fail "$binary is no chatbox that runs"
    before=$("$bin/chatbox" --version 2>/dev/null) || before=
    "$binary" --export "$stage/share"
    plan | refuse_to_overwrite
    mkdir -p "$bin" "${record%/*}"
    plan >"$record.new"
    # Should this be interrupted, both the old and the new are our own.
    cat "$record.new" >>"$record"
    copy 755 "$binary" "$bin/chatbox"
    for applet in $applets; do
        rm -f "$bin/.link.new"
        ln -s chatbox "$bin/.link.new"
        replace "$bin/.link.new" "$bin/$applet"
    done
    documents | while read -r path; do
        mkdir -p "$root/${path%/*}"
        copy 644 "$stage/$path" "$root/$path"
    done
    remove_outdated
    mv -f "$record.new" "$record"
    installed=$("$bin/chatbox" --version)
    [ "$installed" = "$("$binary" --version)" ] || fail "$bin/chatbox is $installed, not what was built"
    [ -z "$before" ] || [ "$before" = "$installed" ] || echo "$before was there before"
    echo "installed $installed and links to it in $bin: $(echo "$applets" | tr '\n' ' ')"
    case :${PATH:-}: in
        *:"$prefix/bin":*) ;;
        *) echo "$prefix/bin is not on your PATH; to have it there: export PATH=\"$prefix/bin:\$PATH\"" ;;
    esac
}

prefix=${PREFIX:-}
binary=
force=no
action=install
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --binary)
            [ $# -gt 1 ] || wrong_usage "$1 needs a value"
            case $1 in
                --prefix) prefix=$2 ;;
                --binary) binary=$2 ;;
            esac
            shift
            ;;
        --prefix=*) prefix=${1#*=} ;;
        --binary=*) binary=${1#*=} ;;
        --force) force=yes ;;
        --uninstall) action=uninstall ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) wrong_usage "unknown argument: $1" ;;
    esac
    shift
done
if [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || wrong_usage "there is no \$HOME, so a --prefix is needed"
    prefix=$HOME/.local
fi
case $prefix in
    /*) ;;
    *) prefix=$PWD/$prefix ;;
esac
prefix=${prefix%/}
case $binary in
    "" | /*) ;;
    *) binary=$PWD/$binary ;;
esac
source=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}$prefix
bin=$root/bin
record=$root/share/chatbox/installed
$action
