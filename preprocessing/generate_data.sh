#!/usr/bin/env bash
# Pack images into a data set: batch files, mean image, lists and labels. Run it from any folder.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [[ -z "${PYTHON:-}" ]]; then
    PYTHON=python3
    if [[ -x "$root/.venv/bin/python" ]]; then PYTHON="$root/.venv/bin/python"; fi
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

for argument in "$@"; do
    if [[ "$argument" == "-h" || "$argument" == "--help" ]]; then
        cat <<HELP
usage: generate_data.sh [--KEY VALUE ...]

Packs images into the data set that train.py reads. Name your images in
$root/preprocessing/paths.yaml
or with --img_dir: one folder, in any layout that train.py recognises; class folders alone are split
or with --train_img_dir and --val_img_dir: folders, or ILSVRC's tar files as downloaded.

    generate_data.sh --img_dir photos
    generate_data.sh --train_img_dir ILSVRC2012_img_train.tar --val_img_dir ILSVRC2012_img_val.tar \\
        --meta_clsloc_mat meta.mat --val_label_file ILSVRC2012_validation_ground_truth.txt

If it is interrupted, start it again: it continues with what is missing. PYTHON=... selects another Python.
It calls make_hkl, make_train_val_txt and make_labels, which all take these options:

HELP
        exec "$PYTHON" -m preprocessing.make_hkl --help
    fi
done

for script in make_hkl make_train_val_txt make_labels; do
    "$PYTHON" -m "preprocessing.$script" "$@"
done
