/* Scores by SSE2, which every x86-64 has. */
#include "score.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#include <string.h>

/* One group of a row's codes, twice: a register holds the group of two points. */
static __m128i query_group(const uint8_t *codes) {
  int64_t group;
  memcpy(&group, codes, sizeof group);
  return _mm_set1_epi64x(group);
}

/* The low halves of four 64-bit sums. */
static __m128i low_halves(__m128i a, __m128i b) {
  return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(2, 0, 2, 0)));
}

static void score_l1(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  const uint8_t *codes = tile->codes;
  for (size_t block = 0; block < tile->blocks; block++, scores += KNN_BLOCK) {
    __m128i sum[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    for (size_t group = 0; group < tile->groups; group++, codes += KNN_BLOCK_BYTES) {
      __m128i q = query_group(query->codes + group * KNN_GROUP);
      for (int i = 0; i < 4; i++) {
        __m128i c = _mm_loadu_si128((const __m128i *)(codes + 16 * i));
        sum[i] = _mm_add_epi64(sum[i], _mm_sad_epu8(c, q));
      }
    }
    _mm_storeu_si128((__m128i *)scores, low_halves(sum[0], sum[1]));
    _mm_storeu_si128((__m128i *)(scores + 4), low_halves(sum[2], sum[3]));
  }
}

/* Sums of the elements of four registers. */
static __m128i four_sums(__m128i a, __m128i b, __m128i c, __m128i d) {
  __m128i ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
  __m128i cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
  return _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
}

static void score_l2(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  const __m128i zero = _mm_setzero_si128();
  const uint8_t *codes = tile->codes;
  for (size_t block = 0; block < tile->blocks; block++, scores += KNN_BLOCK) {
    __m128i sum[KNN_BLOCK];
    for (int i = 0; i < KNN_BLOCK; i++) sum[i] = zero;
    for (size_t group = 0; group < tile->groups; group++, codes += KNN_BLOCK_BYTES) {
      __m128i q = query_group(query->codes + group * KNN_GROUP);
      for (int i = 0; i < 4; i++) {
        __m128i c = _mm_loadu_si128((const __m128i *)(codes + 16 * i));
        __m128i apart = _mm_or_si128(_mm_subs_epu8(c, q), _mm_subs_epu8(q, c));
        __m128i first = _mm_unpacklo_epi8(apart, zero), second = _mm_unpackhi_epi8(apart, zero);
        sum[2 * i] = _mm_add_epi32(sum[2 * i], _mm_madd_epi16(first, first));
        sum[2 * i + 1] = _mm_add_epi32(sum[2 * i + 1], _mm_madd_epi16(second, second));
      }
    }
    _mm_storeu_si128((__m128i *)scores, four_sums(sum[0], sum[1], sum[2], sum[3]));
    _mm_storeu_si128((__m128i *)(scores + 4), four_sums(sum[4], sum[5], sum[6], sum[7]));
  }
}

static uint64_t within(const int32_t *scores, int32_t limit) {
  const __m128i most = _mm_set1_epi32(limit);
  uint64_t above = 0;
  for (int i = 0; i < KNN_STRIDE; i += 16) {
    __m128i over[4];
    for (int j = 0; j < 4; j++) {
      over[j] = _mm_cmpgt_epi32(_mm_loadu_si128((const __m128i *)(scores + i + 4 * j)), most);
    }
    __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(over[0], over[1]), _mm_packs_epi32(over[2], over[3]));
    above |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes) << i;
  }
  return ~above;
}

const Instructions *instructions_sse2(void) {
  static const Instructions sse2 = {"sse2", score_l1, score_l2, within};
  return &sse2;
}
#else
const Instructions *instructions_sse2(void) { return NULL; }
#endif
