# forget_shipped FILE: packages up to 0.1.0 had FILE as a conffile, which everybody had to edit. An unedited
# file is removed. An edited file stays and is read as before. dpkg asks about neither, since no package has
# the file any more.
forget_shipped() {
  shipped=$(dpkg-query -W -f='${Conffiles}\n' "$DPKG_MAINTSCRIPT_PACKAGE" |
    sed -n "s|^ $1 \([0-9a-f]*\) .*|\1|p;s|^ $1 \([0-9a-f]*\)$|\1|p")
  if [ -n "$shipped" ] && [ -f "$1" ] && [ "$(md5sum <"$1")" = "$shipped  -" ]; then rm -f "$1"; fi
}
