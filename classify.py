#!/usr/bin/env python3
"""Print the most probable classes of images.

examples:
  python classify.py panda.jpg
  python classify.py photos/ --top 3 --crops 10 --json
  find photos -name '*.jpg' | python classify.py --csv - > classes.csv
  python classify.py panda.jpg --checkpoint alexnet.onnx
  python classify.py panda.jpg --checkpoint theano_alexnet_weights --model alexnet --data data
  python classify.py panda.jpg --checkpoint resnet50.pth --model resnet50 --data FOLDER_WITH_synset_words.txt
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("classify", __doc__))
