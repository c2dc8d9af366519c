#!/bin/bash
# Train on the GPUs of one machine, and continue in the next job when the time limit is near:
#
#     sbatch docs/clusters/one_machine.sh --data.dir imagenet --run.weights_dir models_a
#
#SBATCH --job-name=tandem
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120
set -uo pipefail

export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun does not take it from sbatch
srun python train.py --spec spec_4gpu.yaml "$@"
status=$?
if [[ $status -eq 138 ]]; then # 128 + USR1: it was warned, saved a checkpoint and stopped
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
