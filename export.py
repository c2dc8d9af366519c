#!/usr/bin/env python3
"""Write the weights of a network in the format of another program.

examples:
  python export.py alexnet.safetensors
  python export.py alexnet.onnx --checkpoint models/checkpoints/epoch060_iter00000.pt
  python export.py weights --format theano
  python export.py resnet.onnx --checkpoint ResNet-50-model.caffemodel --model caffe_resnet50 --data data
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("export", __doc__))
