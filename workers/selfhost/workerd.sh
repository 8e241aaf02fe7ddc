#!/bin/sh
# Stands between Miniflare and workerd, and is replaced by it: raises the limit of open files (each actor in memory holds
# three), and writes down the process id, so that workerd can be ended when whoever started it was killed.
limit=$(ulimit -Hn)
case "$limit" in
  *[!0-9]*) limit=65536 ;;
esac
[ "$limit" -gt 1048576 ] && limit=1048576
ulimit -n "$limit" 2>/dev/null || true
echo "$$" > "$TESSERA_WORKERD_PID_FILE"
exec "$TESSERA_WORKERD" "$@"
