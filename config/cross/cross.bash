# Sourced by ./dev: builds for a machine that this is not, and tries it under an emulator.

cross_configure() {
  local arch=$1 dir=$build/cross/$1
  [[ -f $dir/build.ninja ]] && return
  rm -rf "$dir"
  meson setup "$dir" "$root" --cross-file "$build/cross/$arch.ini" \
    --cross-file "config/cross/${triplet_of[$arch]}.ini" \
    --buildtype=minsize -Ddebug=false -Db_ndebug=false -Dwerror=true
}

cross_compile() { cross_configure "$1" && ninja -C "$build/cross/$1" -j "$cores"; }
