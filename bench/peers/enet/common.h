// SPDX-License-Identifier: MIT

// What server.c and players.c share. Both are told what to do as bench's other
// processes are: options as JSON, a command a line, an answer of one line of JSON.

#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <enet/enet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

int serve(const char *options);
int play(const char *options);

static inline int64_t clock_ns(clockid_t id) {
	struct timespec t;
	clock_gettime(id, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

// json_value is what stands behind a key. Bench writes no spaces, and each key that
// is looked for once.
static inline const char *json_value(const char *json, const char *key) {
	char quoted[64];
	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	const char *at = strstr(json, quoted);
	return at ? at + strlen(quoted) : "";
}

static inline double json_number(const char *json, const char *key) { return strtod(json_value(json, key), NULL); }

// buffers gives a socket as much memory as those of the other servers have.
static inline void buffers(ENetSocket s, int bytes) {
	if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
		enet_socket_set_option(s, ENET_SOCKOPT_RCVBUF, bytes);
	if (setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
		enet_socket_set_option(s, ENET_SOCKOPT_SNDBUF, bytes);
}

#endif
