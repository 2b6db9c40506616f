/* What an index holds, and how a row's values become codes. */
#ifndef GENRESTACK_INDEX_H
#define GENRESTACK_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "knn.h"
#include "score.h"

struct KnnIndex {
  KnnShape shape;
  const Instructions *instructions;
  uint32_t *labels;
  bool scored; /* false: every search goes through all points in float64, and nothing below is there */
  size_t blocks;
  size_t groups;
  size_t tile_blocks; /* blocks whose codes stay in the nearest cache */
  double *low;        /* smallest value of each feature */
  double step;        /* width of a code, the same for all features, because their differences are added up */
  uint8_t *codes;
  int32_t *bias; /* see ScoreTile */
  float *moved;  /* how far rounding moved each point, in steps, rounded up */
  double most_moved;
  double lost;     /* the squares of what is shorter than this, in steps, may be lost to underflow */
  double rounding; /* relative error of anything computed from sums over the features */
  atomic_uint_fast64_t exact;
};

/* A value on the scale of the codes. */
static inline double in_steps(const KnnIndex *index, size_t feature, double value) {
  return (value - index->low[feature]) / index->step;
}

/* The whole number nearest to `clipped`, which lies between 0 and 255. */
static inline uint8_t code_of(double clipped) { return (uint8_t)(clipped + 0.5); }

#endif
