#!/bin/bash
#SBATCH --job-name=train-encoder
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gres=gpu:4
#SBATCH --mem=200G
#SBATCH --time=1-00:00:00
#SBATCH --chdir=/project
#SBATCH --output=/project/runs/launch/it/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
set -u

# Asked by Slurm, or by `scancel --signal=USR1 --batch JOB`: the command saves what it has, and stops.
export SLT_STOP_FILE=/project/runs/launch/it/.stop-$SLURM_JOB_ID
rm -f "$SLT_STOP_FILE"
trap 'woken=1; : >"$SLT_STOP_FILE"' USR1
trap 'woken=1' TERM # to outlive the step, which gets it too

export OMP_NUM_THREADS=8

srun --kill-on-bad-exit=1 --cpus-per-task=32 /opt/venv/bin/torchrun --nproc-per-node=4 --standalone --local-addr=127.0.0.1 --no-python /opt/venv/bin/slt train-encoder r.yaml &
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
exit "$code"
