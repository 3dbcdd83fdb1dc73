// SPDX-License-Identifier: MIT

// A server on ENet, and players that speak to it. Bench builds it where libenet-dev
// is installed, and starts it.

#include "common.h"

int main(int argc, char **argv) {
	if (enet_initialize() != 0) {
		fprintf(stderr, "enet: no ENet\n");
		return 1;
	}
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 4 && strcmp(argv[1], "play") == 0)
		return play(argv[3]);
	fprintf(stderr, "enet: bench starts it\n");
	return 1;
}
