#!/usr/bin/env bash
# A Prefect worker that ends gently: worker.sh POOL [OPTIONS of prefect worker start]
#
# Told to stop, Prefect's worker ends its runs at once; the store knows what is left of
# them. Labelling processes lead sessions of their own and outlive that, but not the end
# of a container or of a Slurm job: they are asked to end after the label that they
# compute, and waited for.
#   TERM, INT: stop; a second one: wait for no label.
#   USR1: stop, then have Slurm queue this job again, as its time is nearly up.
set -euo pipefail
# Job control: without it a child in the background ignores SIGINT, by which Prefect's
# worker tells itself to stop, and never ends.
set -m

pool=${1:?usage: worker.sh POOL [OPTIONS of prefect worker start]}
shift
# Handed down to every child, by which this worker's are told from others.
FIRE_WORKER="$(uname -n)-$$-$(date +%s)"
export FIRE_WORKER
# Runs import FIRE as installed, and no `tasks.py` that lies where the worker started.
export PYTHONSAFEPATH=1

worker=
told=no
hurry=no
again=no

stop() {
    if [[ $told == yes ]]; then
        hurry=yes
    elif [[ -n $worker ]]; then
        told=yes
        kill -TERM "$worker" 2>/dev/null || true
    fi
}

labelling() {
    local file
    # Words of a command line, and variables, end with NUL; processes come and go.
    # shellcheck disable=SC2013 # names in /proc hold no blanks
    for file in $(grep -slxz 'fire_core.campaign.steps.label_worker' /proc/[0-9]*/cmdline); do
        if grep -sqxz "FIRE_WORKER=$FIRE_WORKER" "${file%cmdline}environ"; then
            echo "${file//[!0-9]/}"
        fi
    done
}

trap stop TERM INT
trap 'again=yes; stop' USR1

prefect worker start --pool "$pool" --type process "$@" &
worker=$!
status=0
while kill -0 "$worker" 2>/dev/null; do # a signal ends `wait` early
    status=0
    wait "$worker" || status=$?
done

for process in $(labelling); do
    kill -TERM "$process" 2>/dev/null || true
done
while [[ $hurry == no && -n $(labelling) ]]; do
    sleep 1
done

if [[ $again == yes ]] && ! scontrol show job "$SLURM_JOB_ID" | grep -q 'JobState=CANCELLED'; then
    scontrol requeue "$SLURM_JOB_ID"
    sleep 60 # Slurm ends this script
fi
[[ $told == yes ]] || exit "$status"
