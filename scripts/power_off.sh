#!/usr/bin/env bash
# Power the machine off after SHUTDOWN_WAIT seconds, in which a signal keeps it on. POWER_OFF is the command, if
# `shutdown -h now` does not end the costs. Exits with $1.
set -uo pipefail
seconds="${SHUTDOWN_WAIT:-60}"
trap 'echo "the machine stays on"; exit "${1:-0}"' TERM INT HUP USR1 USR2

echo "SHUTDOWN=1: powering off in $seconds seconds; Ctrl-C keeps the machine on"
sleep "$seconds" &
wait $!
trap '' TERM INT HUP USR1 USR2 # its own doing from here on

if [ -n "${POWER_OFF:-}" ]; then
    command=(bash -c "$POWER_OFF")
elif [ "$(id -u)" = 0 ]; then
    command=(shutdown -h now)
else
    command=(sudo -n shutdown -h now) # -n: nobody is there to be asked
fi
"${command[@]}" || echo "the machine could not be powered off: it stays on and costs money"
exit "${1:-0}"
