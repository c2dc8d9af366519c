"""The trainer: each device has two processes, a trainer and its loader; one supervisor watches them all.

A run, from the outside in. Every floor imports only from those below it (tests/test_floors.py):

    train.py, train_2gpu.py, validate.py, ...  parse, compose, go
    launch, classify, export, report/          check everything the user can mend, start the supervisor; use a network
    doctor, wholeness                          is the machine fit for training; is the data set what was packed
    supervisor, restarts                       one process a role; whoever dies or falls silent ends the run; what
                                               torchrun starts again goes on
    roles/{trainer,loader,validator,...}       what each process does; roles/trainer.py opens with the loop
    recording/, trackers/, checkpoints/        what is shown and kept of a run; a training on disk, and back
    training/{replica,plain_step,fused_step}   the network; forwards, backwards, update: of any network, and of one
                                               with kernels; optimizers, fine-tuning
    exchange/{peer,collective,hierarchical,..} replicas become their average: exchange/averaging says of what,
                                               exchange/rules when, or how else
    data/{feed,upload}, data/sources           the trainer's end of the loader; from a slot to the device; ways in
    models/registry, kernels/, formats/        the networks, each with its recipe; fast twins of plain layers; weights
                                               of other programs
    evaluation/                                views of a picture, their mean, figures over a whole set
    command_line/, machine/                    from words to a configuration; devices, limits, folders, files
    ipc/{channel,shared,cuda_memory}           typed messages over ZeroMQ; memory two processes see
    data/{order,views,plan}, schedule, chance  pure functions: which image when, cut where, at what rate
    config, data/layout, ipc/messages, errors  what may be set, what lies on disk, what may be said

A role is started as ``python -m lib.roles.ROLE FOLDER RANK``; FOLDER, private to the run, holds the
configuration and the sockets. Loaders never import torch.

One iteration of a worker: the trainer lends slots to its loader (``Fill``), the loader reads rows of the
batch files straight into them (``Filled``), the trainer brings a slot to its device and cuts the views
there, computes gradients, averages them with the other trainers' by reading theirs (``Meet``; GPUs meet by
themselves), and updates weights and momentum in one flat row of memory. Signs of life (``Heartbeat``) and last
words (``Failed``) go to the supervisor.
"""
