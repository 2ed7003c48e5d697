#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A folder of pictures on a Slurm cluster: one task of an array for each share.
#
#   sbatch --array=1-16 --cpus-per-task=8 --mem=4G --requeue tools/slurm/fathom-array.sh \
#       -o /data/maps /data/photos
#
# Everything after the script's name goes to "fathom depth". A task takes its share from its place in the
# array, goes on where it was if it was killed and requeued, and keeps to its cores and its memory. When
# all are done:
#
#   fathom merge /data/maps/manifest-*-of-16.jsonl -o /data/maps/manifest.jsonl
#
# FATHOM names the command where it is not in the PATH. A task that is about to be ended gets SIGTERM first
# and writes the pictures in flight; what KillWait does not leave time for is done again.
#SBATCH --job-name=fathom
#SBATCH --output=fathom-%A_%a.log
#SBATCH --open-mode=append
set -eu

refuse() {
    echo "fathom-array.sh: $1" >&2
    exit 1
}

id=${SLURM_ARRAY_TASK_ID:-}
[ -n "$id" ] || refuse "this is no task of an array; submit it with sbatch --array=1-N"
[ $# -gt 0 ] || refuse "no arguments were given; pass those of fathom depth, such as -o maps photos"

# The place in the array, whatever its first index and step. One task that is sent in again alone cannot
# know how many there are: FATHOM_SHARDS says it, and its share is then its index, from 1.
if [ -n "${FATHOM_SHARDS:-}" ]; then
    shard=$id shards=$FATHOM_SHARDS
else
    first=${SLURM_ARRAY_TASK_MIN:-1} step=${SLURM_ARRAY_TASK_STEP:-1}
    shards=$(((${SLURM_ARRAY_TASK_MAX:-$id} - first) / step + 1))
    shard=$(((id - first) / step + 1))
    [ "${SLURM_ARRAY_TASK_COUNT:-$shards}" -eq "$shards" ] && [ "$shards" -gt 1 ] ||
        refuse "the array has one task, or gaps; set FATHOM_SHARDS to the number of all shares"
fi

# Nine tenths of the memory: files that are read and written count against the task, too.
megabytes=${SLURM_MEM_PER_NODE:-$((${SLURM_MEM_PER_CPU:-0} * ${SLURM_CPUS_PER_TASK:-1}))}
[ "$megabytes" -eq 0 ] || set -- --memory "$((megabytes * 9 / 10))M" "$@"

# Where Slurm does not bind tasks to cores, the others are not ours.
cores=${SLURM_CPUS_PER_TASK:-0}
[ "$cores" -eq 0 ] || [ "$(nproc)" -le "$cores" ] || set -- --jobs "$cores" --threads 1 "$@"

# What the caller passes comes last, and wins. exec: signals reach the command itself.
exec "${FATHOM:-fathom}" depth --shard "$shard/$shards" --resume "$@"
