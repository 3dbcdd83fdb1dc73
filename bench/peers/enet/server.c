// SPDX-License-Identifier: MIT

// The server is the loop of ENet's tutorial: one thread services a host and echoes
// what comes on its reliable channel.

#include "common.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>

// look_every bounds the wait for datagrams, as ENet sends again what was lost only
// when it is called.
enum { look_every = 10 };

static void *service(void *arg) {
	ENetHost *host = arg;
	ENetEvent event;
	for (;;) {
		if (enet_host_service(host, &event, look_every) <= 0 || event.type != ENET_EVENT_TYPE_RECEIVE)
			continue;
		ENetPacket *echo = enet_packet_create(event.packet->data, event.packet->dataLength, ENET_PACKET_FLAG_RELIABLE);
		if (echo != NULL && enet_peer_send(event.peer, 0, echo) != 0)
			enet_packet_destroy(echo);
		enet_packet_destroy(event.packet);
	}
	return NULL;
}

static void pin(int core) {
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (core >= 0)
		sched_setaffinity(0, sizeof set, &set);
}

int serve(const char *options) {
	pin((int)json_number(options, "Core"));
	ENetAddress at = {.host = htonl(INADDR_LOOPBACK), .port = ENET_PORT_ANY};
	size_t links = (size_t)json_number(options, "Links");
	ENetHost *host = enet_host_create(&at, links, 1, 0, 0);
	if (host == NULL) {
		fprintf(stderr, "enet: no host for %zu players (at most 4095)\n", links);
		return 1;
	}
	buffers(host->socket, 8 << 20);
	enet_socket_get_address(host->socket, &at);
	pthread_t thread;
	if (pthread_create(&thread, NULL, service, host) != 0)
		return 1;
	char line[256];
	do { // whatever the command, it keeps no figures
		printf("{\"Addr\":\"127.0.0.1:%d\"}\n", at.port);
		fflush(stdout);
	} while (fgets(line, sizeof line, stdin) != NULL);
	return 0;
}
