#!/usr/bin/env bash
# A small data set for a quick trial, made the same way as the full one. Run from any folder.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for argument in "$@"; do
    if [[ "$argument" == "-h" || "$argument" == "--help" ]]; then
        cat <<HELP
usage: generate_toy_data.sh [--img-size 96] [--train-images N] [--val-images N] [--KEY VALUE ...]

Makes a small data set. With a train_img_dir (in paths.yaml or as an option): of the first 2,560 shuffled training
and the first 2,560 validation pictures. Without one: of pictures of 10 classes that it draws itself into
toy_images in tar_root_dir, 2,560 for training and 640 for validation. It is what generate_data.sh does with --toy.
It never overwrites another data set; name another folder with --tar_root_dir. More on that script:

HELP
    fi
done
exec bash "$here/generate_data.sh" --toy "$@"
