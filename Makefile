# Every target is `python make.py TARGET`, which needs neither make nor a POSIX shell.
# TORCH=cpu or TORCH=cuda picks a build of torch; ARGS="-k layers" goes on to pytest or release.
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint types format docs setup clean

help:
	@$(PYTHON) make.py --help

demo test test-all lint types format docs setup clean:
	@$(PYTHON) make.py $@ $(if $(TORCH),--torch $(TORCH)) $(ARGS)
