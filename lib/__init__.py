"""The trainer: each device has two processes, a trainer and its loader; one supervisor watches them all.

A run, from the outside in. Every floor imports only from those below it (tests/test_floors.py):

    train.py, train_2gpu.py, validate.py, ...  parse, compose, go
    launch, classify, export, report/          check everything the user can mend, start the supervisor; use a network
    doctor, wholeness                          is the machine fit for training; is the data set what was packed
    supervisor                                 one process a role; whoever dies or falls silent ends the run
    roles/{trainer,loader,validator,...}       what each process does; roles/trainer.py opens with the loop
    recorder, snapshots, replica               what is shown and kept; a training as a checkpoint; the network
    plain_step, fused_step                     forwards, backwards, update: of any network; of one with kernels
    exchange/{peer,collective,hierarchical,..} replicas become their average: exchange/averaging says of what,
                                               exchange/rules when, or how else
    formats/, weights, fine_tuning             weights of other programs; begin with those of another training
    data/{feed,upload}, data/sources           the trainer's end of the loader; from a slot to the device; ways in
    models/registry, kernels/                  the networks, each with its recipe; fast twins of plain layers
    ipc/{channel,shared,cuda_memory}           typed messages over ZeroMQ; memory two processes see
    data/{order,views,plan}, schedule, chance  pure functions: which image when, cut where, at what rate
    config, data/layout, ipc/messages, errors  what may be set, what lies on disk, what may be said

A role is started as ``python -m lib.roles.ROLE FOLDER RANK``; FOLDER, private to the run, holds the
configuration and the sockets. Loaders never import torch.

One iteration of a worker: the trainer lends slots to its loader (``Fill``), the loader reads rows of the
batch files straight into them (``Filled``), the trainer brings a slot to its device and cuts the views
there, computes gradients, averages them with the other trainers' by reading theirs (``Meet``; GPUs meet by
themselves), and updates weights and velocities in one flat row of memory. Signs of life (``Alive``) and last
words (``Failed``) go to the supervisor.
"""
