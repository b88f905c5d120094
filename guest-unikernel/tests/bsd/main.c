/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A program that knows BSD's calls and nothing of Mayfly. It is built for this machine, too:
 *
 *	bsd serve PORT            echoes to many by poll()
 *	bsd select PORT           likewise by select()
 *	bsd ask ADDRESS PORT N    sends N bytes, and expects them back; blocking
 *	bsd resolve NAME          its address, or why there is none
 *	bsd check                 what calls return, without a peer but itself
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 64

static int failures;

#define CHECK(what) check((what), #what, __LINE__)

static void check(int good, const char *what, int line)
{
	if (good)
		return;
	printf("line %d: %s (errno %d)\n", line, what, errno);
	failures++;
}

static struct sockaddr_in address_of(const char *text, const char *port)
{
	struct addrinfo hints, *found;
	struct sockaddr_in address;

	memset(&hints, 0, sizeof hints);
	hints.ai_family = AF_INET;
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
	if (getaddrinfo(text, port, &hints, &found) != 0) {
		printf("%s:%s is no address\n", text ? text : "", port);
		exit(2);
	}
	memcpy(&address, found->ai_addr, sizeof address);
	freeaddrinfo(found);
	return address;
}

static int listen_at(const char *port)
{
	struct sockaddr_in address = address_of(NULL, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0) {
		printf("listen: %d\n", errno);
		exit(1);
	}
	return fd;
}

/* Returns 0 when the peer has gone. */
static int echo(int fd)
{
	static char bytes[16384];
	ssize_t got = recv(fd, bytes, sizeof bytes, 0);

	return got > 0 && send(fd, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static void serve_by_poll(const char *port)
{
	struct pollfd all[MOST] = {{.fd = listen_at(port), .events = POLLIN}};
	nfds_t count = 1, i;

	for (;;) {
		if (poll(all, count, -1) < 0)
			exit(1);
		if (all[0].revents && count < MOST)
			all[count++] = (struct pollfd){.fd = accept(all[0].fd, NULL, NULL), .events = POLLIN};
		for (i = 1; i < count; i++) {
			if (!all[i].revents || echo(all[i].fd))
				continue;
			close(all[i].fd);
			all[i--] = all[--count];
		}
	}
}

static void serve_by_select(const char *port)
{
	int door = listen_at(port), most = door, fd;
	fd_set all, ready;

	FD_ZERO(&all);
	FD_SET(door, &all);
	for (;;) {
		ready = all;
		if (select(most + 1, &ready, NULL, NULL, NULL) < 0)
			exit(1);
		for (fd = 0; fd <= most; fd++) {
			if (!FD_ISSET(fd, &ready))
				continue;
			if (fd == door) {
				int made = accept(door, NULL, NULL);

				FD_SET(made, &all);
				most = made > most ? made : most;
			} else if (!echo(fd)) {
				FD_CLR(fd, &all);
				close(fd);
			}
		}
	}
}

static size_t number_of(const char *text)
{
	size_t number = 0;

	while (*text)
		number = number * 10 + (size_t)(*text++ - '0');
	return number;
}

static void ask(const char *host, const char *port, size_t count)
{
	struct sockaddr_in to = address_of(host, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	static char out[4096], in[4096];
	size_t done, i;

	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		printf("connect: %d\n", errno);
		exit(1);
	}
	for (done = 0; done < count; done += sizeof out) {
		for (i = 0; i < sizeof out; i++)
			out[i] = (char)(done / 7 + i);
		if (send(fd, out, sizeof out, 0) != sizeof out || recv(fd, in, sizeof in, MSG_WAITALL) != sizeof in ||
		    memcmp(in, out, sizeof in) != 0) {
			printf("after %zu bytes: %d\n", done, errno);
			exit(1);
		}
	}
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(recv(fd, in, sizeof in, 0) == 0);
	CHECK(close(fd) == 0);
	printf("%zu bytes came back\n", done);
}

static void check_descriptors(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), other;
	char byte;

	CHECK(fd >= 3);
	other = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(other > fd);
	CHECK(close(fd) == 0);
	CHECK(close(fd) == -1 && errno == EBADF);
	CHECK(recv(fd, &byte, 1, 0) == -1 && errno == EBADF);
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == fd);
	CHECK(close(fd) == 0 && close(other) == 0);
	CHECK(socket(AF_INET, 99, 0) == -1);
	CHECK(socket(AF_INET, SOCK_STREAM, 250) == -1 && errno == EPROTONOSUPPORT);
}

static void check_stream(void)
{
	struct sockaddr_in at = address_of("127.0.0.1", "5999"), told;
	socklen_t size = sizeof told;
	int door = listen_at("5999"), fd = socket(AF_INET, SOCK_STREAM, 0), made, error = 1, one = 1;
	char bytes[16];
	struct pollfd entry = {.fd = door, .events = POLLIN};

	CHECK(poll(&entry, 1, 0) == 0);
	CHECK(fcntl(door, F_SETFL, O_NONBLOCK) == 0);
	CHECK((fcntl(door, F_GETFL) & O_NONBLOCK) != 0);
	CHECK(accept(door, NULL, NULL) == -1 && errno == EAGAIN);
	CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == -1);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, 9999, &one, sizeof one) == -1 && errno == ENOPROTOOPT);
	CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
	CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == -1 && errno == EISCONN);
	CHECK(poll(&entry, 1, 10000) == 1 && entry.revents == POLLIN);
	made = accept(door, (struct sockaddr *)&told, &size);
	CHECK(made > door && size == sizeof told && told.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	CHECK(getpeername(fd, (struct sockaddr *)&told, &size) == 0 && told.sin_port == htons(5999));
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
	CHECK(recv(made, bytes, sizeof bytes, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	CHECK(send(fd, "hello", 5, 0) == 5);
	entry = (struct pollfd){.fd = made, .events = POLLIN | POLLOUT};
	while (poll(&entry, 1, 10000) == 1 && !(entry.revents & POLLIN))
		;
	CHECK(entry.revents == (POLLIN | POLLOUT));
	CHECK(recv(made, bytes, 3, MSG_PEEK) == 3 && memcmp(bytes, "hel", 3) == 0);
	CHECK(read(made, bytes, sizeof bytes) == 5 && memcmp(bytes, "hello", 5) == 0);
	CHECK(close(fd) == 0);
	CHECK(recv(made, bytes, sizeof bytes, 0) == 0);
	CHECK(close(made) == 0 && close(door) == 0);
}

static void check_refusal(void)
{
	struct sockaddr_in at = address_of("127.0.0.1", "5998");
	int fd = socket(AF_INET, SOCK_STREAM, 0), error = 0;
	struct pollfd entry;
	socklen_t size = sizeof error;

	CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == -1 && errno == ECONNREFUSED);
	CHECK(close(fd) == 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	/* Over loopback it may be known at once. */
	CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
	entry = (struct pollfd){.fd = fd, .events = POLLOUT};
	CHECK(poll(&entry, 1, 10000) == 1);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	CHECK(error == ECONNREFUSED || error == 0);
	CHECK(close(fd) == 0);
}

static void check_datagrams(void)
{
	struct sockaddr_in at = address_of("127.0.0.1", "5997"), from;
	int server = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t size = sizeof from;
	char bytes[16];

	CHECK(bind(server, (struct sockaddr *)&at, sizeof at) == 0);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == -1 && errno == EADDRINUSE);
	CHECK(send(fd, "x", 1, 0) == -1 && errno == EDESTADDRREQ);
	CHECK(close(fd) == 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
	CHECK(send(fd, "question", 8, 0) == 8);
	CHECK(recvfrom(server, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size) == 8);
	CHECK(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, size) == 6);
	CHECK(recv(fd, bytes, 3, 0) == 3 && memcmp(bytes, "ans", 3) == 0);
	CHECK(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	CHECK(close(fd) == 0 && close(server) == 0);
}

static void check_text(void)
{
	struct in_addr address;
	struct addrinfo *found;
	char text[INET_ADDRSTRLEN];

	CHECK(inet_pton(AF_INET, "10.9.3.17", &address) == 1 && address.s_addr == htonl(0x0a090311));
	CHECK(inet_pton(AF_INET, "10.9.3", &address) == 0 && inet_pton(AF_INET, "10.9.3.256", &address) == 0);
	CHECK(inet_ntop(AF_INET, &address, text, sizeof text) && strcmp(text, "10.9.3.17") == 0);
	CHECK(!inet_ntop(AF_INET, &address, text, 5) && errno == ENOSPC);
	CHECK(getaddrinfo(NULL, NULL, NULL, &found) == EAI_NONAME);
	CHECK(getaddrinfo("127.0.0.1", "80", NULL, &found) == 0);
	freeaddrinfo(found);
}

static void resolve(const char *name)
{
	struct addrinfo *found;
	char text[INET_ADDRSTRLEN];
	int error = getaddrinfo(name, "80", NULL, &found);

	if (error != 0) {
		printf("%s\n", error == EAI_NONAME ? "EAI_NONAME" : error == EAI_AGAIN ? "EAI_AGAIN" : "another error");
		exit(1);
	}
	inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text);
	printf("%s\n", text);
	freeaddrinfo(found);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "serve") == 0 && argc == 3)
		serve_by_poll(argv[2]);
	else if (strcmp(what, "select") == 0 && argc == 3)
		serve_by_select(argv[2]);
	else if (strcmp(what, "ask") == 0 && argc == 5)
		ask(argv[2], argv[3], number_of(argv[4]));
	else if (strcmp(what, "resolve") == 0 && argc == 3)
		resolve(argv[2]);
	else if (strcmp(what, "check") != 0)
		return 2;
	if (strcmp(what, "check") == 0) {
		check_descriptors();
		check_stream();
		check_refusal();
		check_datagrams();
		check_text();
		printf("%d failures\n", failures);
	}
	return failures != 0;
}
