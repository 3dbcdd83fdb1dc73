// SPDX-License-Identifier: MIT

// The players do what package load's do, on one thread: a host and a socket each, with
// an address of their own, behind one epoll. They compare each answer, and measure
// their own lateness.

#include "common.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

enum {
	max_waiting = 1024, // requests of a player on the way: a power of two
	max_paced = 256,    // requests that are sent before anything is received
	max_size = 1200,
};

// Each host is serviced this often, a tenth of them at a time: ENet sends again
// what was lost, and says that it is alive, only when it is called.
#define LOOK_EVERY (100 * MS)

// A histogram in the layout of HdrHistogram, from a microsecond to two minutes, to
// three digits, as package chart's is.
enum { unit = 9, half_bits = 10, half = 1 << half_bits, buckets = 18, counts_len = (buckets + 1) * half };
#define LONGEST (120 * SECOND)

typedef struct {
	int64_t counts[counts_len];
} histogram;

static void add(histogram *h, int64_t v) {
	v = v < 0 ? 0 : v > LONGEST ? LONGEST : v;
	int bucket = 64 - __builtin_clzll((uint64_t)v | ((2 * half - 1) << unit)) - unit - half_bits - 1;
	h->counts[((bucket + 1) << half_bits) + (int)(v >> (bucket + unit)) - half]++;
}

static void print_histogram(const char *name, const histogram *h) {
	printf("\"%s\":{\"LowestTrackableValue\":1000,\"HighestTrackableValue\":%lld,\"SignificantFigures\":3,\"Counts\":[", name, (long long)LONGEST);
	int n = counts_len;
	while (n > 0 && h->counts[n - 1] == 0)
		n--;
	for (int i = 0; i < n; i++)
		printf(i == 0 ? "%lld" : ",%lld", (long long)h->counts[i]);
	printf("]}");
}

typedef enum { NEW, OPENING, OPEN, GONE } state;

typedef struct {
	int64_t due, written;
} request;

typedef struct {
	ENetHost *host;
	ENetPeer *peer;
	int index;
	state state;
	uint64_t asked, answered;
	int64_t arrived; // the last datagram, in the socket; 0: not known
	request waiting[max_waiting];
} player;

static struct {
	int sessions, size, window, opening, backlog;
	double rate;
	ENetAddress server;
} cfg;

static struct {
	player *players;
	int epoll;
	int begun, opening, open;
	bool busy;
	int64_t asking; // when the next request is due
	int turn_of;    // and whose it is
	int looked;     // the host that is serviced next, whatever has come
	int64_t look;   // and when
} fleet = {0};

static player *current; // whose host is serviced: ENet's callback does not say

static struct {
	histogram all, write, read, apart;
	int lost, refused, wrong, full;
} result;

static int64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

// stamp takes note of when the datagram that ENet has read arrived.
static int stamp(ENetHost *host, ENetEvent *event) {
	(void)event;
	struct timespec t;
	current->arrived = 0;
	if (ioctl(host->socket, SIOCGSTAMPNS, &t) == 0)
		current->arrived = now() - (clock_ns(CLOCK_REALTIME) - t.tv_sec * SECOND - t.tv_nsec);
	return 0; // ENet goes on with it
}

static void lose(player *p) {
	if (p->state == OPENING) {
		fleet.opening--;
		result.refused++;
	} else if (p->state == OPEN) {
		fleet.open--;
		result.lost++;
	}
	p->state = GONE;
}

static void payload(uint8_t *b, const player *p, uint64_t n) {
	for (int i = 0; i < cfg.size; i++)
		b[i] = (uint8_t)('a' + i % 26);
	uint64_t number = n << 24 | (uint64_t)p->index;
	memcpy(b, &number, sizeof number);
}

// ask sends the next request, which was due at a time. The caller flushes.
static void ask(player *p, int64_t due) {
	uint64_t room = cfg.rate > 0 && cfg.backlog > 0 && cfg.backlog < max_waiting ? (uint64_t)cfg.backlog : max_waiting;
	if (p->asked - p->answered >= room) {
		result.full++;
		return;
	}
	uint8_t b[max_size];
	payload(b, p, p->asked);
	p->waiting[p->asked++ % max_waiting] = (request){due, now()};
	ENetPacket *packet = enet_packet_create(b, (size_t)cfg.size, ENET_PACKET_FLAG_RELIABLE);
	if (packet == NULL || enet_peer_send(p->peer, 0, packet) != 0) {
		if (packet != NULL)
			enet_packet_destroy(packet);
		lose(p);
	}
}

static void answer(player *p, const ENetPacket *packet) {
	uint8_t want[max_size];
	payload(want, p, p->answered);
	if (p->answered == p->asked || packet->dataLength != (size_t)cfg.size || memcmp(packet->data, want, packet->dataLength) != 0) {
		result.wrong++;
		return;
	}
	int64_t at = now();
	const request *r = &p->waiting[p->answered++ % max_waiting];
	add(&result.all, at - r->due);
	add(&result.write, r->written - r->due);
	if (p->arrived > 0) {
		add(&result.read, at - p->arrived);
		add(&result.apart, p->arrived - r->written);
	}
	if (p->state == OPENING) {
		p->state = OPEN;
		fleet.opening--;
		fleet.open++;
	}
	if (fleet.busy && p->state == OPEN && cfg.rate == 0)
		ask(p, at);
}

// service lets ENet read p's socket, and takes what came.
static void service(player *p) {
	if (p->state == NEW || p->state == GONE)
		return;
	ENetEvent event;
	current = p;
	for (int got = enet_host_service(p->host, &event, 0); got != 0; got = enet_host_check_events(p->host, &event)) {
		if (got < 0 || event.type == ENET_EVENT_TYPE_DISCONNECT) {
			lose(p);
			return;
		}
		if (event.type == ENET_EVENT_TYPE_CONNECT)
			ask(p, now());
		if (event.type == ENET_EVENT_TYPE_RECEIVE) {
			answer(p, event.packet);
			enet_packet_destroy(event.packet);
		}
	}
	enet_host_flush(p->host);
}

static void begin(player *p) {
	int i = p->index;
	ENetAddress at = {.host = htonl(127u << 24 | (uint32_t)(1 + i / 250 % 250) << 16 | (uint32_t)(i % 250) << 8 | 1), .port = ENET_PORT_ANY};
	p->state = OPENING;
	fleet.opening++;
	p->host = enet_host_create(&at, 1, 1, 0, 0);
	if (p->host == NULL || (p->peer = enet_host_connect(p->host, &cfg.server, 1, 0)) == NULL) {
		lose(p);
		return;
	}
	struct timespec t;
	ioctl(p->host->socket, SIOCGSTAMPNS, &t); // the first one turns stamps on
	p->host->intercept = stamp;
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
	if (epoll_ctl(fleet.epoll, EPOLL_CTL_ADD, p->host->socket, &e) != 0)
		lose(p);
	else
		service(p);
}

// pace sends the requests whose time has come.
static void pace(void) {
	if (!fleet.busy || cfg.rate == 0)
		return;
	for (int n = 0; n < max_paced && fleet.asking <= now(); n++) {
		player *p = &fleet.players[fleet.turn_of];
		fleet.turn_of = (fleet.turn_of + 1) % cfg.sessions;
		if (p->state == OPEN) {
			ask(p, fleet.asking);
			enet_host_flush(p->host);
		}
		fleet.asking += (int64_t)(SECOND / cfg.rate);
	}
}

static void look(void) {
	if (now() < fleet.look)
		return;
	fleet.look = now() + LOOK_EVERY / 10;
	for (int n = 0; n < (cfg.sessions + 9) / 10; n++) {
		service(&fleet.players[fleet.looked]);
		fleet.looked = (fleet.looked + 1) % cfg.sessions;
	}
}

// turn waits for the sockets, but not beyond a time, and takes what is there.
static void turn(int64_t until) {
	static struct epoll_event events[512];
	if (until > fleet.look)
		until = fleet.look;
	if (fleet.busy && cfg.rate > 0 && until > fleet.asking)
		until = fleet.asking;
	int64_t wait = until - now();
	struct timespec t = {0};
	if (wait > 0)
		t = (struct timespec){wait / SECOND, wait % SECOND};
	int n = epoll_pwait2(fleet.epoll, events, 512, &t, NULL);
	for (int i = 0; i < n; i++)
		service(events[i].data.ptr);
	look();
	pace();
}

static const char *open_all(int64_t limit) {
	for (int64_t end = now() + limit; fleet.begun < cfg.sessions || fleet.opening > 0; turn(end)) {
		while (fleet.begun < cfg.sessions && fleet.opening < cfg.opening)
			begin(&fleet.players[fleet.begun++]);
		if (now() > end)
			break;
	}
	return fleet.open == cfg.sessions ? "" : "not all players could connect";
}

static void play_for(int64_t d) {
	int64_t end = now() + d;
	if (!fleet.busy) {
		fleet.busy = true;
		fleet.asking = now();
		for (int i = 0; i < cfg.sessions; i++) {
			player *p = &fleet.players[i];
			while (cfg.rate == 0 && p->state == OPEN && p->asked - p->answered < (uint64_t)cfg.window)
				ask(p, now());
			enet_host_flush(p->host);
			if (i % 256 == 255) // those who asked first have their answers by now
				turn(0);
		}
	}
	while (now() < end)
		turn(end);
}

// duration reads what Go writes: 1m30s, 100ms, 1.5s.
static int64_t duration(const char *s) {
	double sum = 0;
	for (char *rest; *s; s = rest + 1) {
		double v = strtod(s, &rest);
		if (rest == s)
			break;
		if (rest[0] == 'm' && rest[1] == 's') {
			sum += v * MS;
			rest++;
		} else {
			sum += v * SECOND * (*rest == 'h' ? 3600 : *rest == 'm' ? 60 : 1);
		}
	}
	return (int64_t)sum;
}

static void say(const char *error, bool figures) {
	int timeouts = 0;
	uint64_t waiting = 0;
	printf("{\"Error\":\"%s\"", error);
	if (figures) {
		for (int i = 0; i < cfg.sessions; i++) {
			const player *p = &fleet.players[i];
			waiting += p->asked - p->answered;
			timeouts += p->state == OPEN && p->answered < p->asked && now() - p->waiting[p->answered % max_waiting].due > SECOND;
		}
		printf(",\"Waiting\":%llu,\"Counts\":{\"lost\":%d,\"refused\":%d,\"timeouts\":%d,\"wrong\":%d,\"full\":%d},", (unsigned long long)waiting,
			result.lost, result.refused, timeouts, result.wrong, result.full);
		print_histogram("Hist", &result.all);
		printf(",\"Lateness\":{");
		print_histogram("Write", &result.write);
		printf(",");
		print_histogram("Read", &result.read);
		printf(",");
		print_histogram("Apart", &result.apart);
		printf("}");
	}
	printf("}\n");
	fflush(stdout);
}

static bool configure(const char *options) {
	char host[64];
	int port;
	cfg.sessions = (int)json_number(options, "Sessions");
	cfg.size = (int)json_number(options, "Size");
	cfg.window = (int)json_number(options, "Window");
	cfg.opening = (int)json_number(options, "Opening");
	cfg.backlog = (int)json_number(options, "Backlog");
	cfg.rate = json_number(options, "Rate");
	if (sscanf(json_value(options, "Server"), "\"%63[0-9.]:%d\"", host, &port) != 2)
		return false;
	cfg.server = (ENetAddress){inet_addr(host), (enet_uint16)port};
	return cfg.sessions > 0 && cfg.opening > 0 && cfg.size >= 8 && cfg.size <= max_size && cfg.window <= max_waiting;
}

int play(const char *options) {
	if (!configure(options) || (fleet.players = calloc((size_t)cfg.sessions, sizeof *fleet.players)) == NULL) {
		fprintf(stderr, "enet: no such load: %s\n", options);
		return 1;
	}
	for (int i = 0; i < cfg.sessions; i++)
		fleet.players[i].index = i;
	fleet.epoll = epoll_create1(0);
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); // or the kernel wakes it up to 50 us late
	say("", false);
	for (char line[256]; fgets(line, sizeof line, stdin) != NULL;) {
		line[strcspn(line, "\n")] = 0;
		const char *error = "";
		char *rest = strchr(line, ' ');
		int64_t d = rest ? duration(rest + 1) : 0;
		if (strncmp(line, "open", 4) == 0)
			error = open_all(d);
		else if (strncmp(line, "play", 4) == 0)
			play_for(d);
		else if (strcmp(line, "reset") == 0)
			memset(&result, 0, sizeof result);
		say(error, strcmp(line, "result") == 0);
	}
	return 0;
}
