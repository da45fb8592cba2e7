#!/bin/bash
#SBATCH --job-name=extract-features
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:1
#SBATCH --array=0-3
#SBATCH --chdir=/project
#SBATCH --output=/project/runs/launch/it/%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
set -u

# Asked by Slurm, or by `scancel --signal=USR1 --batch JOB`: the command saves what it has, and stops.
export SLT_STOP_FILE=/project/runs/launch/it/.stop-$SLURM_JOB_ID
rm -f "$SLT_STOP_FILE"
trap 'woken=1; : >"$SLT_STOP_FILE"' USR1
trap 'woken=1' TERM # to outlive the step, which gets it too

export OMP_NUM_THREADS=4

srun --kill-on-bad-exit=1 --cpus-per-task=4 /opt/venv/bin/slt extract-features m.tsv --out f --shard "$SLURM_ARRAY_TASK_ID/4" &
while # a signal ends the waiting early, and not the step
    woken=
    wait $!
    code=$?
    [ -n "$woken" ]
do :; done
if [ -e "$SLT_STOP_FILE" ]; then
    rm -f "$SLT_STOP_FILE"
    case $code in
    0 | 3) ;; # it had just finished
    *) scontrol requeue "$SLURM_JOB_ID" && exit 0 ;;
    esac
fi
[ "$code" != 3 ] || exit 0 # some items failed, as its log tells: what comes after may begin
exit "$code"
