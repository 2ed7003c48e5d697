/* SPDX-License-Identifier: MIT
 * A bounded queue between threads. */
#ifndef TOOLS_QUEUE_H
#define TOOLS_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled, emptied;
    void **item; /* owned; a ring */
    size_t capacity, first, count;
    int takers;  /* only takers with a number below this are served */
    int passed;  /* times in a row that the first item was not the one taken */
    bool closed;
};

/* False when there is no memory. */
bool queue_init(struct queue *queue, size_t capacity);
void queue_free(struct queue *queue);

/* Waits while the queue is full. */
void queue_put(struct queue *queue, void *item);

/* Nothing comes after this: takers get what is left, then NULL. */
void queue_close(struct queue *queue);

/* The next item for taker `number`, NULL after the end. Of the items that wait, one that `likes` is
 * preferred (NULL: the first), but the first is passed over a few times only. */
typedef bool (*queue_like_fn)(const void *item, const void *arg);
void *queue_take(struct queue *queue, int number, queue_like_fn likes, const void *arg);

/* From now on takers 0 to count - 1 are served. */
void queue_set_takers(struct queue *queue, int count);

#endif
