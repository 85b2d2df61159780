/* Prints the time, in nanoseconds since 1970, and a number on every line: `ticker COUNT MICROSECONDS`. Costs next to nothing, so that
 * what is measured is the way of the line and not its making. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int count_of_words, char **words) {
    long count = count_of_words > 1 ? atol(words[1]) : 100, every = count_of_words > 2 ? atol(words[2]) : 10000;
    struct timespec next, at;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (long line = 0; line < count; line++) {
        clock_gettime(CLOCK_REALTIME, &at);
        printf("%lld%09ld line %ld\n", (long long)at.tv_sec, at.tv_nsec, line);
        fflush(stdout);
        next.tv_nsec += every * 1000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return 0;
}
