# One target for each task. Python packages go to .venv and .venv-tflite; only test-pi changes the system.
PYTHON ?= python3
PYTHON311 ?= $(shell python3.11 -c "import sys; print(sys.executable)" 2>/dev/null)
# Hundreds of processes are started here: without bytecode, each would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
# NASA's portrait of Eileen Collins, public domain, included in scikit-image.
PORTRAIT := $(VENV)/lib/python3*/site-packages/skimage/data/astronaut.png

# If there is a Python 3.11, these tests also run on tflite-runtime, numpy 1 and OpenCV 4.11, as on a box
# with bookworm: after all others, which leave in pytest's cache the small model that only TensorFlow can make.
DEVICE_TESTS := $(addprefix tests/test_,$(addsuffix .py,\
  runtime classifier detector face_finder crop images images_damaged images_files images_limits \
  images_orientation images_writing annotate convert_opcheck \
  cameras_recording cameras_stream cameras_usb daemon_cameras))

# How many tests run at a time; most of them wait for processes that they have started.
JOBS ?= 2

# The folder for the film and the state of `make demo`, and the port of its page.
DEMO ?= demo
PORT ?= 8765

# The data set and the initial weights for `make model`.
FER2013 ?= fer2013.csv
FERPLUS ?= fer2013new.csv
WEIGHTS ?= imagenet
RUN ?= runs
# The version in the result's metadata: not that of the shipped file, because it is another model.
MODEL_VERSION ?= 0.4.0+own
DATA = --data $(FER2013) --ferplus $(FERPLUS)

.DEFAULT_GOAL := help
.PHONY: help demo photo test test-pi test-container check format model benchmark-model faces-model bench clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## run the service on a camera or a short film, until Ctrl-C or for SECONDS=20
	@camera=$$($(BIN)/python -m tests.demo_clip --unless-camera "$(DEMO)/portrait.mkv") \
	  && folder=$$(realpath --canonicalize-missing "$(DEMO)") \
	  && rm -f "$$folder/state/paused" \
	  && echo "Watching $$camera; every line is a change of mood. See it at http://127.0.0.1:$(PORT)/" \
	  && RUNTIME_DIRECTORY="$$folder/run" STATE_DIRECTORY="$$folder/state" \
	  exec $(BIN)/serenbox run --config /dev/null --camera "$$camera" --set camera.loop=true --set web.enabled=true \
	  --set web.port=$(PORT) $(if $(SECONDS),--seconds $(SECONDS))

photo: $(VENV)/.demo ## find the emotion of a real portrait and draw it
	@rm -f demo/astronaut.png
	$(BIN)/serenbox-detect --annotate demo $(PORTRAIT)
	@echo "The annotated picture is demo/astronaut.png"

test: $(VENV)/.dev $(if $(PYTHON311),.venv-tflite/.ready) ## set up and run the tests
	SERENBOX_TFLITE_PYTHON=$(if $(PYTHON311),.venv-tflite/bin/python) $(BIN)/python -m pytest \
	  --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
	$(if $(PYTHON311),.venv-tflite/bin/python -m pytest --quiet $(DEVICE_TESTS))

test-pi: $(VENV)/.demo ## try the service on root file systems like a Pi's: as root, on Debian
	tests/pi/run.sh $(BIN)/python $(PORTRAIT)

test-container: $(VENV)/.demo ## build and try the container without Docker: as root, on Debian
	@folder=$$(mktemp -d /var/tmp/serenbox-container.XXXXXX) \
	  && trap 'rm -rf --one-file-system "$$folder"' EXIT \
	  && deploy/try_rootfs.py "$$folder/root" $(PORTRAIT)

check: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## compare the speed with that of bare scripts
	$(BIN)/python -m tests.benchmarks.speed $(PORTRAIT)

# A network that is already trained on faces; docs/experiments.md says where it comes from.
FACERES = $(RUN)/faceres/faceres.json
FACERES_PACKAGE = vladmandic-human-3.3.6.tgz

# Runs that are finished in RUN are not repeated, and interrupted ones are resumed.
FIT = $(BIN)/python -m training fit $(DATA) --resume=auto
AVERAGE = $(BIN)/python -m training average $(DATA)
# The augmentation of the first five runs; the last two use the defaults of `fit`, or nearly so.
MILD = --rotation 15 --scale 0.18 --shift 0.08 --brightness 30 --blur 0.15 --noise 0.2 --mixup 0
STRONG = --rotation 20 --scale 0.2 --shift 0.1 --brightness 50 --mixup 0.5 --small-epochs 0

model: $(VENV)/.dev ## train, convert and measure a model like the shipped one: FER2013=… FERPLUS=…
	$(FIT) $(MILD) --weights $(WEIGHTS) --out $(RUN)/first
	$(FIT) $(MILD) --weights $(RUN)/first/model.keras --teacher $(RUN)/first/model.keras \
	  --epochs 20 --small-epochs 6 --out $(RUN)/second
	$(FIT) $(STRONG) --weights $(RUN)/second/model.keras --teacher $(RUN)/second/model.keras \
	  --epochs 12 --blur 0.5 --noise 0.4 --out $(RUN)/third
	$(FIT) $(STRONG) --weights $(RUN)/third/model.keras \
	  --teacher $(RUN)/third/model.keras $(RUN)/second/model.keras \
	  --epochs 10 --learning-rate 0.0005 --blur 0.35 --noise 0.25 --out $(RUN)/fourth
	$(AVERAGE) $(RUN)/second $(RUN)/fourth --out $(RUN)/mean-of-two
	$(FIT) $(STRONG) --weights $(RUN)/mean-of-two/model.keras \
	  --teacher $(RUN)/fourth/model.keras $(RUN)/second/model.keras \
	  --epochs 10 --learning-rate 0.0005 --blur 0.25 --noise 0.2 --out $(RUN)/fifth
	$(AVERAGE) $(RUN)/second $(RUN)/fourth $(RUN)/fifth --out $(RUN)/mean-of-three
	$(FIT) --weights $(RUN)/mean-of-three/model.keras --epochs 54 --small-epochs 0 --out $(RUN)/sixth
	$(FIT) --weights $(RUN)/sixth/model.keras --epochs 46 --small-epochs 0 --mixup 0.1 --seed 1 \
	  --out $(RUN)/emotion
	$(BIN)/python -m convert $(RUN)/emotion/model.keras $(RUN)/emotion.tflite $(DATA) --fine-tune 2000 \
	  --version $(MODEL_VERSION) --prior-exponent 0.9 --margin 0 --lift 0.07 --calibration-images 300
	$(BIN)/python -m training evaluate $(RUN)/emotion.tflite $(DATA)

benchmark-model: $(VENV)/.dev ## train a network on FER2013's own labels, to compare with papers: FER2013=… FERPLUS=…
	$(FIT) --labels fer2013 --weights training/models/emotion.keras --epochs 12 --small-epochs 0 \
	  --out $(RUN)/benchmark-first
	$(FIT) --labels fer2013 --weights $(RUN)/benchmark-first/model.keras \
	  --teacher $(RUN)/benchmark-first/model.keras --epochs 30 --small-epochs 0 --seed 1 --out $(RUN)/benchmark
	$(BIN)/python -m convert $(RUN)/benchmark/model.keras $(RUN)/benchmark.tflite --data $(FER2013) \
	  --version 1 --fine-tune 2500 --prior-exponent 1 --margin 0 --lift 0.07 --calibration-images 300
	$(BIN)/python -m training evaluate $(RUN)/benchmark.tflite $(DATA)

faces-model: $(VENV)/.dev $(FACERES) ## train a network that already knew faces, as a teacher: FER2013=… FERPLUS=…
	$(FIT) --backbone mobilenet_v1 --weights $(FACERES) --size 160 --epochs 8 --small-epochs 0 \
	  --learning-rate 0.0005 --out $(RUN)/faces

# Both files are moved into place only if the one with the weights has the right hash.
$(FACERES):
	mkdir -p $(@D)/part
	cd $(@D)/part && npm pack --silent @vladmandic/human@3.3.6 \
	  && tar -xzf $(FACERES_PACKAGE) --strip-components 2 package/models/faceres.json package/models/faceres.bin \
	  && echo "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b  faceres.bin" \
	  | sha256sum --check --quiet && mv faceres.bin faceres.json ..
	rm -r $(@D)/part

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-tflite build dist demo *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) is older than Python 3.11; name a newer one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "make: no virtual environment could be made; run: sudo apt install python3-venv" >&2; exit 1; }

$(VENV)/.demo: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/pip install --quiet -e '.[web]'
	$(BIN)/pip install --quiet --no-deps scikit-image # only for the portrait in it
	@touch $@

$(VENV)/.dev: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/pip install --quiet --no-compile -e '.[dev]' # Python compiles each module when it is first imported
	@touch $@

.venv-tflite/.ready: pyproject.toml setup.py
	$(PYTHON311) -m venv .venv-tflite
	.venv-tflite/bin/pip install --quiet -e '.[tflite]' pytest
	.venv-tflite/bin/pip install --quiet --no-deps scikit-image # only for the portrait in it
	@touch $@
