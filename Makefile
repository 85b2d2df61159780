# The commands a newcomer needs. Each does its own set-up; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test check bench e2e build bundle image setup clean-data

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: ## build it optimised and serve it on http://127.0.0.1:3000, with the demo
	@exec scripts/run

test: ## everything: formatting, lints, the tests of both sides, browser tests
	@exec scripts/test

check: ## formatting, lints, licences and sources of dependencies
	@exec scripts/check

bundle: ## what the browser loads, alone
	@exec scripts/build dashboard

bench: ## measure what the bars promise
	@exec scripts/bench

e2e: ## the browser tests alone
	@exec scripts/test browser

build: ## the optimised binary and dashboard, without serving them
	@exec scripts/build release

image: ## the image of stages on AWS (and of a server): make image NAME=registry/seamless:1
	@exec scripts/image $(NAME)

setup: ## what `make test` would install, without testing
	@exec scripts/setup test

clean-data: ## forget every service, run and log in ./data; stops what was deployed from there
	@exec scripts/clean-data
