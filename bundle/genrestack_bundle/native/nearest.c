/* Distances in float64, the k nearest, and scikit-learn's vote. */
#include "nearest.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

/* The sum over lanes that are added up pairwise: an order that vector instructions of any width can keep, so that
 * answers are the same to the last bit on every processor. */
double exact_distance(const KnnShape *shape, const double *a, const double *b) {
  double lane[LANES] = {0};
  size_t whole = shape->features / LANES * LANES;
  if (shape->p == 1) {
    for (size_t i = 0; i < whole; i += LANES) {
      for (size_t j = 0; j < LANES; j++) lane[j] += fabs(a[i + j] - b[i + j]);
    }
    for (size_t i = whole; i < shape->features; i++) lane[i - whole] += fabs(a[i] - b[i]);
  } else {
    for (size_t i = 0; i < whole; i += LANES) {
      for (size_t j = 0; j < LANES; j++) lane[j] += (a[i + j] - b[i + j]) * (a[i + j] - b[i + j]);
    }
    for (size_t i = whole; i < shape->features; i++) lane[i - whole] += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* A distance that is no number is nearer than none: of a row that holds one, the first points stay. */
static bool farther(Neighbor a, Neighbor b) {
  return a.distance > b.distance || (a.distance == b.distance && a.point > b.point);
}

static void sift_down(Neighbor *heap, size_t count, size_t place) {
  for (;;) {
    size_t child = 2 * place + 1;
    if (child >= count) return;
    if (child + 1 < count && farther(heap[child + 1], heap[child])) child++;
    if (!farther(heap[child], heap[place])) return;
    Neighbor swapped = heap[place];
    heap[place] = heap[child];
    heap[child] = swapped;
    place = child;
  }
}

static void sift_up(Neighbor *heap, size_t place) {
  while (place > 0 && farther(heap[place], heap[(place - 1) / 2])) {
    Neighbor swapped = heap[place];
    heap[place] = heap[(place - 1) / 2];
    heap[(place - 1) / 2] = swapped;
    place = (place - 1) / 2;
  }
}

void nearest_add(Nearest *nearest, double distance, uint32_t point) {
  Neighbor added = {distance, point};
  if (nearest->count < nearest->most) {
    nearest->heap[nearest->count] = added;
    sift_up(nearest->heap, nearest->count++);
  } else if (farther(nearest->heap[0], added)) {
    nearest->heap[0] = added;
    sift_down(nearest->heap, nearest->count, 0);
  }
}

/* Put the nearest first: weights are added up in that order. */
static void sort(Nearest *nearest) {
  for (size_t end = nearest->count; end > 1; end--) {
    Neighbor farthest = nearest->heap[0];
    nearest->heap[0] = nearest->heap[end - 1];
    nearest->heap[end - 1] = farthest;
    sift_down(nearest->heap, end - 1, 0);
  }
}

static double weight(const KnnShape *shape, double distance) {
  return 1 / (shape->p == 2 ? sqrt(distance) : distance);
}

void vote(const KnnShape *shape, const uint32_t *labels, Nearest *nearest, double *probabilities) {
  memset(probabilities, 0, shape->classes * sizeof *probabilities);
  if (shape->by_distance) {
    sort(nearest);
    /* A reciprocal overflows for denormal distances too, and scikit-learn asks for infinity, not for zero. */
    bool infinite = false;
    for (size_t i = 0; i < nearest->count; i++) infinite |= isinf(weight(shape, nearest->heap[i].distance));
    for (size_t i = 0; i < nearest->count; i++) {
      double own = weight(shape, nearest->heap[i].distance);
      probabilities[labels[nearest->heap[i].point]] += infinite ? (isinf(own) ? 1 : 0) : own;
    }
  } else {
    for (size_t i = 0; i < nearest->count; i++) probabilities[labels[nearest->heap[i].point]] += 1;
  }
  double total = 0;
  for (size_t i = 0; i < shape->classes; i++) total += probabilities[i];
  for (size_t i = 0; i < shape->classes; i++) probabilities[i] /= total;
}
