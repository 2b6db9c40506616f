/* The nearest points found so far, by distance in float64 and then by index, and their vote. */
#ifndef GENRESTACK_NEAREST_H
#define GENRESTACK_NEAREST_H

#include <stdbool.h>

#include "knn.h"

typedef struct {
  double distance; /* squared where p is 2 */
  uint32_t point;
} Neighbor;

/* Distance of two rows; with p = 2 its square. Values are added up in the same order everywhere. */
double exact_distance(const KnnShape *shape, const double *a, const double *b);

/* A heap of at most `most` neighbours, the farthest on top. */
typedef struct {
  Neighbor *heap;
  size_t count;
  size_t most;
} Nearest;

void nearest_add(Nearest *nearest, double distance, uint32_t point);

/* Turn the neighbours into one row of probabilities; their order is lost. */
void vote(const KnnShape *shape, const uint32_t *labels, Nearest *nearest, double *probabilities);

#endif
