/* A small service for tests, in an image of its own: it says which version it is and does what it is asked. No libraries
 * are there beside it, so it is linked statically. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static void answer(int to, int status, const char *body, size_t length) {
    char head[256];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", status, length);
    char *all = malloc((size_t)n + length);
    memcpy(all, head, (size_t)n);
    memcpy(all + n, body, length);
    for (size_t sent = 0; sent < (size_t)n + length;) {
        ssize_t some = send(to, all + sent, (size_t)n + length - sent, MSG_NOSIGNAL);
        if (some <= 0) break;
        sent += (size_t)some;
    }
    free(all);
}

static void text(int to, int status, const char *body) { answer(to, status, body, strlen(body)); }

/* Fetches http://HOST:PORT/ and hands the body on. */
static void fetch(int to, const char *url) {
    char host[64], got[4096];
    int port;
    if (sscanf(url, "http://%63[^:]:%d", host, &port) != 2) { text(to, 500, "no such address"); return; }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, host, &at.sin_addr);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(other, (struct sockaddr *)&at, sizeof at) != 0) { close(other); text(to, 502, "unreachable"); return; }
    const char *ask = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    send(other, ask, strlen(ask), MSG_NOSIGNAL);
    size_t length = 0;
    ssize_t some;
    while (length < sizeof got - 1 && (some = recv(other, got + length, sizeof got - 1 - length, 0)) > 0) length += (size_t)some;
    got[length] = '\0';
    close(other);
    char *body = strstr(got, "\r\n\r\n");
    text(to, 200, body ? body + 4 : got);
}

static void *serve(void *argument) {
    int at = (int)(long)argument, yes = 1;
    setsockopt(at, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    static __thread char request[65536];
    size_t length = 0;
    for (;;) {
        char *end;
        request[length] = '\0';
        while (!(end = strstr(request, "\r\n\r\n"))) {
            ssize_t some = length < sizeof request - 1 ? recv(at, request + length, sizeof request - 1 - length, 0) : 0;
            if (some <= 0) { close(at); return NULL; }
            length += (size_t)some;
            request[length] = '\0';
        }
        char method[8] = "", path[512] = "";
        sscanf(request, "%7s %511s", method, path);
        size_t body = 0;
        char *size = strcasestr(request, "\r\ncontent-length:");
        if (size && size < end) body = (size_t)atol(size + 17);
        size_t whole = (size_t)(end + 4 - request) + body;
        while (length < whole) {
            ssize_t some = recv(at, request + length, sizeof request - 1 - length, 0);
            if (some <= 0) { close(at); return NULL; }
            length += (size_t)some;
        }
        if (strcmp(method, "POST") == 0) answer(at, 200, end + 4, body);
        else if (strcmp(path, "/health") == 0) text(at, atoi(setting("HEALTH", "200")), "health");
        else if (strcmp(path, "/env") == 0) {
            static __thread char all[32768];
            all[0] = '\0';
            for (char **e = environ; *e; e++) { strcat(all, *e); strcat(all, "\n"); }
            text(at, 200, all);
        } else if (strncmp(path, "/fetch/", 7) == 0) fetch(at, setting(path + 7, ""));
        else if (strcmp(path, "/eat") == 0) {
            /* Takes memory until somebody stops it. */
            for (;;) memset(malloc(1 << 20), 1, 1 << 20);
        } else if (strcmp(path, "/crash") == 0) {
            puts("about to crash");
            fflush(stdout);
            _exit(3);
        } else text(at, 200, setting("VERSION", "?"));
        memmove(request, request + whole, length - whole);
        length -= whole;
    }
}

static void stop(int number) {
    (void)number;
    _exit(0);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("version %s starts\n", setting("VERSION", "?"));
    if (getenv("FAIL")) {
        puts(getenv("FAIL"));
        return 1;
    }
    signal(SIGTERM, stop);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)atoi(setting("LISTEN_PORT", setting("PORT", "8080"))))};
    inet_pton(AF_INET, setting("LISTEN_ADDRESS", "0.0.0.0"), &at.sin_addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 128) != 0) {
        perror("cannot listen");
        return 1;
    }
    for (;;) {
        int one = accept(listener, NULL, NULL);
        if (one < 0) continue;
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(long)one) == 0) pthread_detach(thread);
        else close(one);
    }
}
