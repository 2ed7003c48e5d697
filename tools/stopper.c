/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "stopper.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "message.h"
#include "place.h"

static struct {
    stopper_fn fn;
    void *user;
    pthread_t thread;
    sigset_t waited; /* and SIGUSR2, by which stopper_end wakes the thread */
    sigset_t former;
    atomic_int signal;
    atomic_bool ended;
} stopper;

/* Ends the process as the signal would have. */
static void die_of(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t one;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
    sigemptyset(&one);
    sigaddset(&one, number);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    raise(number);
}

static void *wait_for_signals(void *arg)
{
    (void)arg;
    for (;;) {
        int number = 0;
        if (sigwait(&stopper.waited, &number) != 0 || number == SIGUSR2) {
            if (atomic_load(&stopper.ended)) return NULL;
            continue;
        }
        int none = 0;
        if (atomic_compare_exchange_strong(&stopper.signal, &none, number)) {
            stopper.fn(stopper.user);
        } else {
            place_halt();
            die_of(number);
        }
    }
}

int stopper_start(stopper_fn fn, void *user)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    stopper.fn = fn;
    stopper.user = user;
    pthread_sigmask(SIG_BLOCK, NULL, &stopper.former);
    sigemptyset(&stopper.waited);
    sigaddset(&stopper.waited, SIGUSR2);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN &&
            !sigismember(&stopper.former, numbers[i]))
            sigaddset(&stopper.waited, numbers[i]);
    pthread_sigmask(SIG_BLOCK, &stopper.waited, NULL);
    if (pthread_create(&stopper.thread, NULL, wait_for_signals, NULL) == 0) return EXIT_FINE;
    complain("no thread could be started to wait for signals; raise the limit (ulimit -u)");
    return EXIT_MEMORY;
}

int stopper_signal(void) { return atomic_load(&stopper.signal); }

void stopper_end(void)
{
    atomic_store(&stopper.ended, true);
    pthread_kill(stopper.thread, SIGUSR2);
    pthread_join(stopper.thread, NULL);
    if (stopper_signal()) die_of(stopper_signal());
    pthread_sigmask(SIG_SETMASK, &stopper.former, NULL);
}
