#!/bin/bash
#SBATCH --job-name=extract-features
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --array=0-1
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
for name in $(compgen -e); do # what the container is told of
    case $name in
    SLT_OFFLINE | SLT_STOP_FILE | SLT_TRACEBACK | CUDA_VISIBLE_DEVICES | OMP_NUM_THREADS | NCCL_* | SLURM_*) export "APPTAINERENV_$name=${!name}" ;;
    esac
done

srun --kill-on-bad-exit=1 --cpus-per-task=4 apptainer exec --containall --bind /scratch/slt:/slt --bind /tmp:/tmp --bind /corpora --bind /project --pwd /project /images/slt.sif slt extract-features m.tsv --out f --shard "$SLURM_ARRAY_TASK_ID/2" &
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
