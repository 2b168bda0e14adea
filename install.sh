#!/bin/sh
# Builds chatbox and installs it into PREFIX/bin, with a link for each applet, and manual pages and
# completions into PREFIX/share; or takes all that away again. What was installed is written down in
# PREFIX/share/chatbox/installed, one line each: "file CHECKSUM PATH", "link TARGET PATH", or
# "folder - PATH" for one that was not there before. Only what stands there, and is still as it was,
# counts as our own.
set -eu

usage() {
    cat <<EOF
Usage: install.sh [--prefix DIR] [--binary FILE] [--no-links] [--force]
       install.sh [--prefix DIR] --uninstall

Builds chatbox and installs it into DIR/bin, with links for its applets, and
manual pages and completions for bash, zsh and fish into DIR/share. Run again,
it upgrades what is there.

Options:
  --prefix DIR   where to install; by default \$PREFIX, or else \$HOME/.local
  --binary FILE  install this executable instead of building one
  --no-links     install chatbox alone, without links for its applets
  --force        replace files and links that are not our own; each is kept
                 beside its place, as NAME.orig
  --uninstall    remove what was installed, and nothing else
  -h, --help     display usage information

Environment:
  PREFIX         the same as --prefix
  DESTDIR        goes before every path that is written to, for packagers; what
                 is installed is not written down then

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

# The lines of a record that are about files and links, or about folders, the inner ones first.
entries() {
    grep -v '^folder ' "$1" || :
}
folders() {
    sed -n 's/^folder - //p' "$1" | LC_ALL=C sort -r
}

# Waits until nobody else installs below this root, and keeps others waiting until we end.
lock() {
    command -v flock >/dev/null 2>&1 || fail "flock is needed: install util-linux"
    while :; do
        if [ ! -d "$root" ]; then
            [ "$action" = install ] || fail "nothing is installed in $root any more"
            mkdir -p "$root"
            root_is_new=yes
        fi
        exec 9<"$root"
        if ! flock -n 9; then
            echo "waiting for another install.sh that works in $root"
            flock 9
        fi
        # It may have removed the folder.
        [ -z "$(find "$root/." -prune -samefile /dev/fd/9/. 2>/dev/null)" ] || break
    done
}

# Removes what an installation that did not come to its end has left, by the paths of a record.
sweep() {
    rm -f "${record%/*}/$new"
    while read -r kind _ path; do
        [ "$kind" = folder ] || rm -f "$root/${path%/*}/$new"
    done <"$1"
}

# Removes the folders of a record that are empty.
remove_empty() {
    folders "$1" | while read -r path; do
        rmdir "$root/${path#.}" 2>/dev/null || :
    done
}

# However this ends.
clean_up() {
    [ ! -f "$stage/both" ] || sweep "$stage/both"
    [ ! -f "$stage/folders" ] || remove_empty "$stage/folders"
    rm -rf "$stage"
}

uninstall() {
    [ -f "$record" ] || fail "nothing was installed in $root by install.sh"
    lock
    [ -f "$record" ] || fail "nothing is installed in $root any more"
    cp "$record" "$stage/record"
    sweep "$record"
    left=
    entries "$stage/record" >"$stage/entries"
    while read -r _ _ path; do
        if is_ours "$path"; then
            rm -f "$root/$path"
        elif exists "$root/$path"; then
            left="$left $root/$path"
        fi
    done <"$stage/entries"
    rm -f "$record"
    remove_empty "$stage/record"
    [ -z "$left" ] || fail "left what is not as it was installed:$left"
    echo "removed chatbox from $bin"
}

# Builds chatbox; its executable is where cargo says. If it builds for several targets, it is the
# one that runs here.
build() {
    [ -n "$source" ] || fail "it is not known where the source is: run install.sh in its folder"
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

# Puts what is to be installed beside the executable and its links below the stage.
export_documents() {
    "$binary" --export "$stage/share"
    [ "$links" = no ] || return 0
    for applet in $("$binary" --list); do
        find "$stage/share" -type f \( -name "$applet" -o -name "_$applet" -o -name "$applet.fish" \
            -o -name "$applet.1" \) -exec rm -f {} +
    done
}

documents() {
    (cd "$stage" && find share -type f | sort)
}

# The files and links that are about to be installed, as the record has them.
plan() {
    echo "file $(checksum "$binary") bin/chatbox"
    for applet in $applets; do
        echo "link chatbox bin/$applet"
    done
    documents | while read -r path; do
        echo "file $(checksum "$stage/$path") $path"
    done
}

# The folders for the paths of a plan that are not there, or that an earlier installation made.
missing_folders() {
    [ ! -f "$record" ] || grep '^folder ' "$record" || :
    [ "$root_is_new" = no ] || echo "folder - ."
    while read -r _ _ path; do
        while [ "$path" != . ]; do
            path=$(dirname "$path")
            [ "$path" = . ] || [ -d "$root/$path" ] || echo "folder - $path"
        done
    done
}

# What stands in the way of a plan, one path a line.
foreign() {
    while read -r kind target path; do
        if [ -d "$root/$path" ] && [ ! -L "$root/$path" ]; then
            fail "$root/$path is a folder"
        elif exists "$root/$path" && [ "$(describe "$path")" != "$kind $target $path" ] &&
            ! is_ours "$path"; then
            echo "$path"
        fi
    done
}

# Moves what is in the way to where it is kept; says so if that is not wanted, or cannot be.
make_way() {
    names=
    kept=
    while read -r path; do
        names="$names $root/$path"
        ! exists "$root/$path.orig" || kept="$kept $root/$path.orig"
    done <"$1"
    [ -z "$names" ] || [ "$force" = yes ] ||
        fail "not overwriting what is not our own:$names (--force would, and keep NAME.orig)"
    [ -z "$kept" ] || fail "there is something already where the old one would be kept:$kept"
    while read -r path; do
        mv "$root/$path" "$root/$path.orig"
        echo "kept $root/$path.orig"
    done <"$1"
}

# Puts a new file or link in the place of an old one, in one step: what runs goes on running.
replace() {
    # A link to a folder would be followed.
    [ ! -d "$2" ] || rm -f "$2"
    mv -f "$1" "$2"
}

# Copies a file with these permissions to where an old one may be.
copy() {
    cp "$2" "${3%/*}/$new"
    chmod "$1" "${3%/*}/$new"
    replace "${3%/*}/$new" "$3"
}

# Writes down what is ours, from this file; not for a package.
write_record() {
    [ -n "${DESTDIR:-}" ] || copy 644 "$1" "$record"
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
    [ -f "$record" ] || return 0
    entries "$record" >"$stage/entries"
    while read -r kind target path; do
        if is_listed "$path" "$stage/plan"; then
            continue
        elif is_ours "$path"; then
            echo "removing $root/$path ($kind $target), which is no longer part of chatbox"
            rm -f "$root/$path"
        elif exists "$root/$path"; then
            echo "left $root/$path, which is no longer part of chatbox, but not as it was installed"
        fi
    done <"$stage/entries"
    remove_empty "$stage/folders"
}

# Puts everything in its place.
put() {
    copy 755 "$binary" "$bin/chatbox"
    for applet in $applets; do
        rm -f "$bin/$new"
        ln -s chatbox "$bin/$new"
        replace "$bin/$new" "$bin/$applet"
    done
    documents | while read -r path; do
        copy 644 "$stage/$path" "$root/$path"
    done
}

# What is to be ours: the plan, and those folders that there are.
ours() {
    cat "$stage/plan"
    folders "$stage/folders" | while read -r path; do
        [ ! -d "$root/$path" ] || echo "folder - $path"
    done
}

install() {
    [ -n "$binary" ] || build
    applets=$("$binary" --list) || applets=
    [ -n "$applets" ] || fail "$binary is no chatbox that runs"
    [ "$links" = yes ] || applets=
    export_documents
    # Others are to enter what is installed, whoever installs it.
    umask 022
    lock
    before=
    ! is_ours bin/chatbox || before=$("$bin/chatbox" --version 2>/dev/null) || :
    plan >"$stage/plan"
    foreign <"$stage/plan" >"$stage/foreign"
    make_way "$stage/foreign"
    (cat "$stage/plan" && echo "- - share/chatbox/installed") | missing_folders | sort -u \
        >"$stage/folders"
    folders "$stage/folders" | while read -r path; do
        mkdir -p "$root/$path"
    done
    # Should this be interrupted, both the old and the new are our own.
    [ ! -f "$record" ] || cat "$record" >"$stage/both"
    ours >>"$stage/both"
    sweep "$stage/both"
    write_record "$stage/both"
    put
    remove_outdated
    ours >"$stage/record"
    write_record "$stage/record"
    report
}

report() {
    installed=$("$bin/chatbox" --version)
    [ "$installed" = "$("$binary" --version)" ] || fail "$bin/chatbox is $installed, not what was built"
    [ -z "$before" ] || [ "$before" = "$installed" ] || echo "$before was there before"
    if [ "$links" = yes ]; then
        echo "installed $installed and links to it in $bin: $(echo "$applets" | tr '\n' ' ')"
    else
        echo "installed $installed in $bin"
    fi
    case :${PATH:-}: in
        *:"$prefix/bin":*) ;;
        *) echo "$prefix/bin is not on your PATH; to have it there: export PATH=\"$prefix/bin:\$PATH\"" ;;
    esac
}

# The folder of this script, or else the one that it is run in, if that has the source.
find_source() {
    for folder in "$(dirname -- "$(readlink -f -- "$0")")" "$PWD"; do
        if grep -qx 'name = "chatbox"' "$folder/Cargo.toml" 2>/dev/null; then
            echo "$folder"
            return
        fi
    done
}

prefix=${PREFIX:-}
binary=
links=yes
force=no
action=install
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --binary)
            [ -n "${2:-}" ] || wrong_usage "$1 needs a value"
            case $1 in
                --prefix) prefix=$2 ;;
                --binary) binary=$2 ;;
            esac
            shift
            ;;
        --prefix= | --binary=) wrong_usage "${1%=} needs a value" ;;
        --prefix=*) prefix=${1#*=} ;;
        --binary=*) binary=${1#*=} ;;
        --no-links) links=no ;;
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
source=$(find_source)
root=${DESTDIR:-}$prefix
root=${root:-/}
root_is_new=no
bin=$root/bin
record=$root/share/chatbox/installed
# What a file is called until it is complete.
new=.chatbox.new
stage=$(mktemp -d)
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
# What it runs is not to read from where a shell may be reading this.
$action </dev/null
