# An image for CPUs:         docker build -t tandem .
# One for NVIDIA GPUs:       docker build -t tandem:cuda --build-arg DEVICE=cuda .
# docs/clusters.md shows how to run it.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# cpu: PyTorch from its own index, 1.3 GB installed; cuda: from PyPI, 5 GB, with a compiler for Triton's launchers.
ARG DEVICE=cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The compiler's version is that of the image's Debian.
# hadolint ignore=DL3008
RUN case "$DEVICE" in cpu) ;; \
    cuda) apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/* ;; \
    *) echo "DEVICE is $DEVICE; it must be cpu or cuda" >&2; exit 1 ;; \
    esac

WORKDIR /tandem
COPY requirements.txt .
RUN if [ "$DEVICE" = cpu ]; then export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu; fi; \
    pip install --no-cache-dir -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps .

# Any user may run it. Caches of compilers and of matplotlib need a folder that every user can write.
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1
USER 65534:65534
CMD ["python", "train.py", "--help"]
