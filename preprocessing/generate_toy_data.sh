#!/usr/bin/env bash
# Make a small data set for a quick trial, in the same way as the full one. Run it from any folder.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for argument in "$@"; do
    if [[ "$argument" == "-h" || "$argument" == "--help" ]]; then
        cat <<HELP
usage: generate_toy_data.sh [--img-size 96] [--train-images N] [--val-images N] [--KEY VALUE ...]

Makes a small data set. With a train_img_dir (in paths.yaml or as an option) it packs the first 2,560 shuffled training
images and the first 2,560 validation images. Without one it draws images of 10 classes into toy_images in
tar_root_dir, 2,560 for training and 640 for validation. It is the same as generate_data.sh --toy.
It never overwrites another data set; name another folder with --tar_root_dir. About generate_data.sh:

HELP
    fi
done
exec bash "$here/generate_data.sh" --toy "$@"
