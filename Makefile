# make demo | make test | make lint | make soak | make docs. Everything is installed into .venv and nothing outside it.

PYTHON ?= python3
BIN := .venv/bin
# make demo DEVICE=cpu: PyTorch for CPUs, 1.3 GB installed in place of 5.
INDEX := $(if $(filter cpu,$(DEVICE)),--extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: demo test lint soak docs clean

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt $(INDEX)
	touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# Toy images, two workers, a short training. With images of at least 112 pixels AlexNet's last feature map is 2 x 2;
# with a map of 1 x 1 it learns far more slowly.
demo: .venv/ready
	PYTHON=$(BIN)/python preprocessing/generate_toy_data.sh --tar_root_dir demo/data --img-size 112
	$(BIN)/python train_2gpu.py --data.dir demo/data --run.weights_dir demo/models --run.resume never \
		--batch_size 32 --run.n_epochs 8 --run.snapshot_freq 8 --schedule.steps '[7]' --logging.print_freq 10

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lib preprocessing benchmarks tests docs *.py
	git ls-files -z | xargs -0 $(BIN)/codespell
	$(BIN)/hadolint Dockerfile

test: .venv/ready-dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

# One minute. The full soak test takes an hour: .venv/bin/python -m benchmarks.soak
soak: .venv/ready-dev
	$(BIN)/python -m benchmarks.soak --minutes 1 --epoch-size 300

# README.md and docs/ as a site in site/. A warning is an error.
docs: .venv/ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv demo site
