# Each target first makes .venv from the pins in envs/ where it is missing or they changed.
PYTHON ?= python3
BIN := .venv/bin

# What a user types is no part of a command: it is passed as it is, through the environment.
OWN := NAME IMAGES MODELS LABELS CLASSES STUDY ENSEMBLE PYTHON
TYPED := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(OWN) $(TYPED),$(eval override $(name) := $$(value $(name))))
# What has none of make's own names is a model to compare, by its name.
export COMPARED := $(filter-out $(OWN) MAKE% -% .%,$(sort $(TYPED)))
export NAME IMAGES MODELS LABELS CLASSES STUDY ENSEMBLE $(COMPARED)

.PHONY: run study compare card test unit numeric lint bench report schema
.DELETE_ON_ERROR:

# The study of public networks first: its report is there within two minutes.
run: .venv/made
	$(BIN)/snakemake --cores all --configfile studies/public.yaml
	$(BIN)/snakemake --cores all

# make study NAME=mine IMAGES=photos MODELS="resnet50.a1_in1k vit_small_patch16_224.augreg_in21k_ft_in1k"
study: .venv/made
	@$(BIN)/python -m workflow.lib.study.new --name="$$NAME" --images="$$IMAGES" -- "$$MODELS"

# make compare A=a.npz B=b.npz LABELS=labels.csv, with NAME=mine and CLASSES=classes.txt where wanted
compare: .venv/made
	@$(BIN)/python -m workflow.compare --name="$$NAME" --labels="$$LABELS" --classes="$$CLASSES"

# make card STUDY=mine ENSEMBLE=cheap: one of `ensembles` in studies/mine.yaml, or single, pair, triple, cascade
card: .venv/made
	@case "$$STUDY" in default) file=config.yaml;; *) file="studies/$$STUDY.yaml";; esac; \
	test -f "$$file" || { echo "There is no study $$file; give its name: make card STUDY=mine ENSEMBLE=cheap" >&2; exit 2; }; \
	$(BIN)/snakemake --cores all --configfile "$$file" -- "results/$$STUDY/deployment/$$ENSEMBLE.json" \
	|| { echo "If there is no rule for it: name the ensemble $$ENSEMBLE under \`ensembles\` in $$file." >&2; exit 2; }
	@echo "Open results/$$STUDY/deployment/$$ENSEMBLE.json; apply_card.py beside it applies it."

# More processes than cores: jobs of a cluster are mostly waited for.
test: .venv/made
	$(BIN)/pytest -n 3 --durations=20

# All but whole studies and what takes seconds.
unit: .venv/made
	$(BIN)/pytest -n 2 -m "not slow" --ignore=tests/run

# What processors round each in their way, once more: as the oldest ones would, and with two threads.
# (`make test` has this processor's own kernels, and one thread.) Each variable is for one of the
# libraries: OpenBLAS of NumPy and SciPy, torch, oneDNN, MKL, NumPy itself, and Numba's compiler.
OLDEST := OPENBLAS_CORETYPE=Prescott ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 \
	MKL_CBWR=COMPATIBLE NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4" NUMBA_CPU_NAME=generic \
	NUMBA_CPU_FEATURES=
numeric: .venv/made
	$(OLDEST) OMP_NUM_THREADS=2 $(BIN)/pytest -q -n 2 -m numeric tests/lib tests/scripts

lint: .venv/made
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: .venv/made
	$(BIN)/python benchmarks/pairwise.py
	$(BIN)/python benchmarks/combine.py
	$(BIN)/python benchmarks/greedy.py
	$(BIN)/python benchmarks/probe.py
	$(BIN)/python benchmarks/verdicts.py
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/integrity.py
	$(BIN)/python benchmarks/corruptions.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/slurm.py
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/scale.py

schema: .venv/made
	$(BIN)/python -m workflow.lib.study.model

report: .venv/made
	$(BIN)/snakemake --cores all results/default/report.html
	@echo "Open $(CURDIR)/results/default/report.html in a browser."

.venv/made: envs/requirements.txt envs/development.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; give it as `make PYTHON=...`")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/development.txt
	touch $@
