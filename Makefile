# make book    build the book: every chapter is executed     -> _build/html/index.html
# make pdf     the same as one file; needs Chromium                       -> _build/lspin.pdf
# make test    unit tests, then every chapter as a test, on the offline twin
# make results score LSPIN and its rivals on the real tables -> lspin/studies/results
# make ablation  what each part of the recipe is worth       -> lspin/studies/results/ablation.json
# make bench   measure how fast it is, side by side with others -> lspin/studies/results/speed.json
# make course  notebooks for students and teachers, slides, offline bundle      -> build/course
# make times   measure how long each chapter takes              -> book/times.csv
# make lint    style and types
# make sync    bring notebooks and scripts of the chapters in step
# make links   check every link of the book
# make env     only make .venv
# make lock    write constraints.txt, with hashes, from requirements.txt
# make lowest  test the package with the oldest versions that it allows
# make clean   remove everything that make made
#
# The first command makes .venv and installs requirements.txt into it; PYTHON=... chooses with what.
# UV_TORCH_BACKEND=cpu keeps CUDA out of it, which on Linux saves several GB.

.DELETE_ON_ERROR:
.PHONY: book pdf test results ablation bench course course-test times lint sync links env lock lowest clean

# What a shell may set for other projects must not reach this one: folders to install into, modules
# and kernels from elsewhere.
unexport PIP_PREFIX PIP_TARGET PIP_USER PYTHONHOME PYTHONPATH
unexport JUPYTER_CONFIG_PATH JUPYTER_PATH JUPYTER_PREFER_ENV_PATH

ifndef PYTHON
PYTHON := $(shell unset PYTHONHOME PYTHONPATH; for p in python3.13 python3.12 python3.11 python3.14; \
	do $$p -c 'import ensurepip, venv' >/dev/null 2>&1 && echo $$p && exit; done; echo python3)
endif

VENV := .venv/bin/python
READY := .venv/.ready
CHAPTERS := $(wildcard book/*.ipynb)
# Two at a time, and each file in one process: the cells of a chapter run in their order.
PYTEST := OMP_NUM_THREADS=1 $(VENV) -m pytest --numprocesses 2 --dist loadfile
NBVAL := LSPIN_SOURCE=twin $(PYTEST) --nbval-lax --nbval-cell-timeout=600

book: $(READY)
	@$(VENV) .ci/notebooks.py
	@echo "Building the book; every chapter is executed, which takes some minutes."
	@.venv/bin/jupyter-book build . --all -W --keep-going
	@echo "The book is ready. Open $(CURDIR)/_build/html/index.html in a browser."

pdf: $(READY)
	@.venv/bin/jupyter-book build . --builder singlehtml
	@$(VENV) .ci/pdf.py _build/singlehtml/index.html _build/lspin.pdf

test: $(READY)
	@$(VENV) .ci/notebooks.py
	$(PYTEST)
	$(NBVAL) $(CHAPTERS)

EVALUATE := PYTHONPATH=build/bench $(VENV) -m lspin evaluate

results: $(READY) build/bench/.ready
	$(EVALUATE) paper lspin/studies/results/paper.json
	$(EVALUATE) explanations lspin/studies/results/explanations.json
	$(EVALUATE) synthetic lspin/studies/results/synthetic.json --repeats 1
	$(EVALUATE) waveform lspin/studies/results/waveform.json
	$(EVALUATE) cohorts lspin/studies/results/cohorts.json
	$(EVALUATE) positive lspin/studies/results/positive.json
	$(EVALUATE) labels lspin/studies/results/labels.json
	$(EVALUATE) labs lspin/studies/results/labs.json
	$(EVALUATE) patchseq lspin/studies/results/patchseq.json
	$(EVALUATE) species lspin/studies/results/species.json

ablation: $(READY)
	$(VENV) -W ignore benchmarks/ablation.py

bench: $(READY) build/bench/.ready
	PYTHONPATH=build/bench $(VENV) -W ignore benchmarks/run.py

build/bench/.ready: benchmarks/requirements.txt
	rm -rf build/bench
	$(VENV) -m pip install --quiet --no-deps --target build/bench --upgrade -r benchmarks/requirements.txt
	@touch $@

course: $(READY)
	@$(VENV) .ci/course.py

# The students' and the teachers' notebooks, run from top to bottom.
course-test: course
	$(NBVAL) build/course/*/*.ipynb

times: $(READY)
	OMP_NUM_THREADS=1 $(VENV) .ci/times.py

lint: $(READY)
	$(VENV) -m ruff check
	$(VENV) -m ruff format --check
	$(VENV) -m mypy

sync: $(READY)
	$(VENV) -m jupytext --quiet --sync book/scripts/*.py
	$(VENV) .ci/notebooks.py

links: $(READY)
	@.venv/bin/jupyter-book build . --builder linkcheck

env: $(READY)

COMPILE := build/lock/bin/uv pip compile --universal --python-version 3.11 --no-python-downloads \
	--generate-hashes --no-annotate --custom-compile-command "make lock" --quiet

lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet "$$(grep -o '^uv==[0-9.]*' .binder/requirements.txt)"
	grep -o '^uv==[0-9.]*' .binder/requirements.txt | $(COMPILE) - \
		--output-file .binder/requirements.txt
	$(COMPILE) requirements.txt --constraints requirements.txt --overrides overrides.txt \
		--fork-strategy fewest --output-file constraints.txt

lowest:
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet --requirement .binder/requirements.txt
	build/lowest/bin/uv pip install --python build/lowest/bin/python --resolution lowest-direct \
		--editable ".[book,recordings,rivals]" "captum>=0.8" "pytest>=9" "pytest-xdist>=3.8" \
		"hypothesis>=6.150" "selenium>=4.40"
	OMP_NUM_THREADS=1 build/lowest/bin/python -m pytest --numprocesses 2 --dist loadfile \
		$(foreach room,data evaluate explain features model show studies,tests/$(room)) \
		tests/test_main.py tests/test_bad_input.py

clean:
	rm -rf .venv _build build *.egg-info

$(READY): requirements.txt constraints.txt overrides.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
		{ echo "There is no Python here ($(PYTHON)): install Python 3.13 and run make again."; exit 1; }
	@$(PYTHON) .ci/make_env.py
