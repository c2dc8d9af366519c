#!/bin/bash
# Train on the GPUs of several machines, and continue in the next job when the time limit is near:
#
#     sbatch --nodes 4 docs/clusters/several_machines.sh --data.dir imagenet --run.weights_dir models_a
#
#SBATCH --job-name=tandem
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -uo pipefail

export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun does not take it from sbatch
first_host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=100 # seconds that torchrun gives its workers to save

srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "$SLURM_GPUS_ON_NODE" --max-restarts 3 \
    --rdzv-backend c10d --rdzv-endpoint "$first_host:$((20000 + SLURM_JOB_ID % 10000))" --rdzv-id "$SLURM_JOB_ID" \
    --signals-to-handle SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1 \
    train.py --exchange.method hierarchical "$@" &
step=$!
warned=no
trap 'warned=yes; kill -USR1 "$step"' USR1 # srun passes it on to torchrun, and torchrun to the workers
wait "$step"
status=$?
if [[ $warned = yes ]]; then # the trap has interrupted `wait`
    wait "$step"
    status=$?
    if [[ $status -ne 0 ]]; then # not finished
        scontrol requeue "$SLURM_JOB_ID"
    fi
fi
exit "$status"
