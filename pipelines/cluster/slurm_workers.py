"""Convert or translate a tree in workers that SLURM starts.

    python pipelines/cluster/slurm_workers.py 32 convert SRC DST --to nifti
    python pipelines/cluster/slurm_workers.py 32 translate RUN SRC DST

The first argument is the number of jobs to ask SLURM for, each with one worker; the rest goes to
``medgan``. Start it where it may run for as long as the batch, and again to resume. What follows is
to be set for the cluster at hand. It needs ``pip install medgan[cluster]``.
"""

import sys

from dask_jobqueue import SLURMCluster

from medgan.cli.main import main

CPUS = 1
"""Processors of a job. Conversion uses one; so does translation for each volume at its best."""

MEMORY = "8GB"
"""Of a job; a worker at 95 % of it is ended and its volume given to another one."""

WALLTIME = "04:00:00"
QUEUE = None
"""Partition; None: the cluster's own choice."""

DIRECTIVES: list[str] = []
"""Further ``#SBATCH`` lines; ``["--gpus=1"]`` gives each worker a GPU to translate on."""


def workers(**settings: object) -> SLURMCluster:
    """Where SLURM's jobs will find their scheduler; none is asked for yet."""
    return SLURMCluster(
        # of dask: a worker takes one volume at a time
        cores=1,
        job_cpu=CPUS,
        memory=MEMORY,
        walltime=WALLTIME,
        queue=QUEUE,
        job_extra_directives=DIRECTIVES,
        job_script_prologue=[
            f"export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__OMP_NUM_THREADS={CPUS}"
        ],
        **settings,
    )


if __name__ == "__main__":
    with workers() as cluster:
        cluster.scale(jobs=int(sys.argv[1]))
        main([*sys.argv[2:], "--dask", cluster.scheduler_address])
