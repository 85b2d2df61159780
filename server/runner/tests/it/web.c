/* A service for tests in containers, and what asks it: one static program.
 *
 *   web             answers on PORT: /health, /name (NAME), /ask/X (what SEAMLESS_URL_X answers on /name), /VARIABLE
 *   web URL [TEXT]  prints what URL answers; fails when it does not answer 200, or, with TEXT, something else */
#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask(const char *url, char *body, size_t room) {
    char host[256], port[6] = "80", path[512] = "/", request[1024], answer[4096];
    if (sscanf(url, "http://%255[^:/]:%5[0-9]%511s", host, port, path) < 2) return -1;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0) return -1;
    int to = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(to, found->ai_addr, found->ai_addrlen) != 0) return -1;
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, host);
    if (write(to, request, strlen(request)) < 0) return -1;
    size_t length = 0;
    for (ssize_t some; length < sizeof answer - 1 && (some = read(to, answer + length, sizeof answer - 1 - length)) > 0;)
        length += (size_t)some;
    answer[length] = 0;
    close(to);
    char *text = strstr(answer, "\r\n\r\n");
    snprintf(body, room, "%s", text ? text + 4 : "");
    return strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200", 4) == 0 ? 0 : -1;
}

static void stop(int number) {
    (void)number;
    if (write(1, "stopping\n", 9) < 0) _exit(1);
    _exit(0);
}

int main(int count, char **words) {
    char body[2048] = "";
    if (count > 1) {
        int bad = ask(words[1], body, sizeof body);
        printf("%s\n", body);
        if (bad) fprintf(stderr, "Error: %s does not answer\n", words[1]);
        else if (count > 2 && strcmp(body, words[2]) != 0) bad = 1, fprintf(stderr, "Error: that is not %s\n", words[2]);
        return bad ? 1 : 0;
    }
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *port = getenv("PORT") ? getenv("PORT") : "8080";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 64) != 0) return 1;
    printf("%s listens on %s\n", getenv("NAME") ? getenv("NAME") : "web", port);
    for (;;) {
        int to = accept(listener, NULL, NULL);
        char request[2048], path[512] = "", url[600], answer[4096];
        ssize_t some = read(to, request, sizeof request - 1);
        request[some > 0 ? some : 0] = 0;
        sscanf(request, "GET /%511[^ ]", path);
        int bad = 0;
        if (strcmp(path, "health") == 0) strcpy(body, "well");
        else if (strcmp(path, "name") == 0) snprintf(body, sizeof body, "%s", getenv("NAME") ? getenv("NAME") : "?");
        else if (strncmp(path, "ask/", 4) == 0) {
            snprintf(url, sizeof url, "SEAMLESS_URL_%s", path + 4);
            const char *other = getenv(url);
            snprintf(url, sizeof url, "%s/name", other ? other : "nowhere");
            bad = ask(url, body, sizeof body);
        } else {
            const char *value = getenv(path);
            bad = !value;
            snprintf(body, sizeof body, "%s", value ? value : "");
        }
        int length = snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                              bad ? "404 Not Found" : "200 OK", strlen(body), body);
        if (write(to, answer, (size_t)length) < 0) { /* whoever asked is gone */ }
        close(to);
    }
}
