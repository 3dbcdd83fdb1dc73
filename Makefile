# The commands that people need. `make` without a target lists them.

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: ## the room server with bots that cut their links
	go run ./examples/room

test: ## every Go test
	go test ./...

race: ## the same with the race detector, the long ones shorter
	go test -race -short ./...

lint: ## format, vet, staticcheck, spelling
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	git ls-files '*.go' '*.md' '*.ts' '*.cs' | xargs go tool misspell -error

bench: ## Go benchmarks of every package
	go test -run '^$$' -bench . ./...

smoke: ## end to end: the ratios that must not fall
	go run ./bench smoke

scripts: ## write vectors and scripts anew after a rule has changed; review the diff
	go test ./session ./transport/seal -run "Vectors|Scripts" -update

pages: ## build the pages that the servers embed
	cd framework/client/js && npm ci && npm run pages

ci: ## everything that decides about a change
	bash .ci/run

.PHONY: help run test race lint bench smoke scripts pages ci
