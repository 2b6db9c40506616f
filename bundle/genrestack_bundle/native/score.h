/* Scores: distances between points rounded to bytes ("codes"), in whole numbers, by vector instructions.
 *
 * Codes lie in blocks of 8 points and groups of 8 features, [block][group][point][feature], so that one load takes one
 * group of several points. What is missing in the last block and the last group is zero.
 */
#ifndef GENRESTACK_SCORE_H
#define GENRESTACK_SCORE_H

#include <stddef.h>
#include <stdint.h>

enum { KNN_BLOCK = 8, KNN_GROUP = 8, KNN_BLOCK_BYTES = KNN_BLOCK * KNN_GROUP };

/* Scores compared with a limit in one go. */
enum { KNN_STRIDE = 64 };

/* Above this many features a sum of squares might not fit into 31 bits. */
enum { KNN_MOST_FEATURES = 16384 };

typedef struct {
  const uint8_t *codes; /* of the first block */
  size_t blocks;
  size_t groups;
  const int32_t *bias; /* for each point sum(c * c) - 256 * sum(c), c its codes */
} ScoreTile;

typedef struct {
  const uint8_t *codes; /* groups * 8 bytes */
  int32_t square;       /* sum(q * q), q the codes */
} ScoreQuery;

typedef struct {
  const char *name;
  /* Sum of absolute differences to every point of the tile. */
  void (*l1)(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores);
  /* Sum of squared differences to every point of the tile. */
  void (*l2)(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores);
  /* A bit for each of KNN_STRIDE scores that is not above the limit. */
  uint64_t (*within)(const int32_t *scores, int32_t limit);
} Instructions;

/* Each gives NULL where the processor lacks the instructions. */
const Instructions *instructions_avx512_vnni(void);
const Instructions *instructions_avx512(void);
const Instructions *instructions_avx2(void);
const Instructions *instructions_sse2(void);
const Instructions *instructions_neon(void);

#endif
