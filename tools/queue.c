/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "queue.h"

#include <limits.h>
#include <stdlib.h>

enum { PASSES = 8 };

bool queue_init(struct queue *queue, size_t capacity)
{
    *queue = (struct queue){.capacity = capacity, .takers = INT_MAX};
    queue->item = calloc(capacity, sizeof *queue->item);
    if (!queue->item) return false;
    pthread_mutex_init(&queue->mutex, NULL); /* cannot fail with default attributes on Linux */
    pthread_cond_init(&queue->filled, NULL);
    pthread_cond_init(&queue->emptied, NULL);
    return true;
}

void queue_free(struct queue *queue)
{
    if (!queue->item) return;
    pthread_mutex_destroy(&queue->mutex);
    pthread_cond_destroy(&queue->filled);
    pthread_cond_destroy(&queue->emptied);
    free(queue->item);
    *queue = (struct queue){0};
}

void queue_put(struct queue *queue, void *item)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->count == queue->capacity) pthread_cond_wait(&queue->emptied, &queue->mutex);
    queue->item[(queue->first + queue->count++) % queue->capacity] = item;
    /* all, because one alone may be a taker that is not served */
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
}

void queue_set_takers(struct queue *queue, int count)
{
    pthread_mutex_lock(&queue->mutex);
    queue->takers = count;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
}

static size_t choose(struct queue *queue, queue_like_fn likes, const void *arg)
{
    if (!likes || queue->passed >= PASSES) return 0;
    for (size_t i = 0; i < queue->count; i++)
        if (likes(queue->item[(queue->first + i) % queue->capacity], arg)) return i;
    return 0;
}

static void *take_at(struct queue *queue, size_t i)
{
    void *item = queue->item[(queue->first + i) % queue->capacity];
    for (; i > 0; i--) /* those before it move up by one */
        queue->item[(queue->first + i) % queue->capacity] =
            queue->item[(queue->first + i - 1) % queue->capacity];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    return item;
}

void *queue_take(struct queue *queue, int number, queue_like_fn likes, const void *arg)
{
    void *item = NULL;
    pthread_mutex_lock(&queue->mutex);
    while (!(queue->count && number < queue->takers) && !(queue->closed && !queue->count))
        pthread_cond_wait(&queue->filled, &queue->mutex);
    if (queue->count) {
        size_t i = choose(queue, likes, arg);
        queue->passed = i ? queue->passed + 1 : 0;
        item = take_at(queue, i);
        pthread_cond_signal(&queue->emptied);
        if (queue->closed && !queue->count) pthread_cond_broadcast(&queue->filled);
    }
    pthread_mutex_unlock(&queue->mutex);
    return item;
}
